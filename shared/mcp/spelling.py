"""Correct the typing errors of a query by the words of the catalog.

The encoder reads a word with an error as other pieces, whose meaning is another.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from string import ascii_lowercase
from typing import Any
from zlib import crc32

import numpy as np

from shared.mcp.words import without_accents

Hashes = np.ndarray[Any, np.dtype[np.uint32]]
_WORD = re.compile(r"[^\W\d_]+")
# Short words are near too many others. Longer text without a space is no word.
SHORTEST, _LONGEST = 4, 20
# What is written next to a word of a name, an address or a file.
_OF_NAMES = frozenset("._@-/#")
# In how many texts the right word must be, and how likely an error is, compared with one wrong letter.
LEAST = 3
_SWAPPED, _LETTER_MORE_OR_LESS, _FIRST_LETTER = 4.0, 2.0, 0.2
_CACHED = 4096


def plain(word: str) -> str:
    """Return a word in lower case and without accents."""
    return without_accents(word.lower())


def words_in(text: str) -> set[str]:
    """Return the words of a text, as `Spelling` compares them."""
    return {plain(word) for word in _WORD.findall(text)}


def hashes(words: Iterable[str]) -> Hashes:
    """Return the sorted hashes of words, which take less memory than the words."""
    return np.array(sorted(crc32(word.encode()) for word in words), dtype=np.uint32)


class Spelling:
    """Knows how words are spelled."""

    def __init__(self, counts: Mapping[str, int], known: Hashes) -> None:
        """Take the words that errors become, with how many texts have each, and the hashes of all words."""
        self._counts, self._known = counts, known
        self._corrected = lru_cache(_CACHED)(self._find)

    def corrected(self, text: str, also_known: frozenset[str] = frozenset()) -> str:
        """Return a text with the known words for those that are like one of them, but neither known nor a name."""

        def one(found: re.Match[str]) -> str:
            word, start, end = found[0], found.start(), found.end()
            # Within a sentence, a capital begins a name, or a noun in German.
            if start and (word[0].isupper() or text[start - 1] in _OF_NAMES):
                return word
            # One letter may be many in `simple`.
            simple = plain(word)
            if text[end : end + 1] in _OF_NAMES or not SHORTEST <= len(simple) <= _LONGEST:
                return word
            return word if simple in also_known else self._corrected(simple) or word

        return _WORD.sub(one, text)

    def _find(self, word: str) -> str | None:
        """Return the most likely word for an unknown one."""
        number = np.uint32(crc32(word.encode()))
        if number in self._known[np.searchsorted(self._known, number) :][:1]:
            return None
        # Another ending is another form of a word, not an error.
        near = {
            other: self._counts[other] * _likelihood(word, other)
            for other in _neighbors(word)
            if other in self._counts and word[:-1] not in (other, other[:-1]) and word != other[:-1]
        }
        best = max(sorted(near), key=near.__getitem__, default=None)
        return best if best is not None and near[best] >= LEAST else None


def _likelihood(word: str, other: str) -> float:
    likelihood = _FIRST_LETTER if word[0] != other[0] else 1.0
    if len(word) != len(other):
        return likelihood * _LETTER_MORE_OR_LESS
    return likelihood * _SWAPPED if sorted(word) == sorted(other) else likelihood


def _neighbors(word: str) -> Iterable[str]:
    """Yield what a word is with one letter more, less or wrong, or two swapped."""
    for place in range(len(word) + 1):
        before, after = word[:place], word[place:]
        for letter in ascii_lowercase:
            yield before + letter + after
            if after:
                yield before + letter + after[1:]
        yield before + after[1:]
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
