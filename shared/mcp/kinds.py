"""Kinds of MCP servers, such as calendars and databases, and the words of what people ask of each (`kinds.txt`).

`python -m local.routing_model` writes the file from the catalog of queries in `local/routing_catalog`.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from shared.mcp.features import words_of
from shared.mcp.tools import Tool, plain_words

FILE = Path(__file__).with_name("kinds.txt")
# The block of queries that need no server.
GENERAL = "(general)"
# A server is of the kinds with at least this score, more with each tool up to a most, because each adds words that
# other kinds have too; and at least this share of its best score.
_LEAST, _LEAST_OF_TOOL, _MOST, _SHARE = 0.88, 0.3, 3.2, 0.7


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind: the words in the tools of its servers, the number of its queries, and their words."""

    name: str
    signs: frozenset[str]
    queries: int
    written: str  # the words with their counts, of 1 where there is none, as in the file

    @property
    def words(self) -> dict[str, int]:
        """The words of the queries, and in how many of them each is."""
        pairs = (pair.partition(":") for pair in self.written.split())
        return {word: int(count or 1) for word, _, count in pairs}


def of(name: str, description: str, tools: Sequence[Tool]) -> list[Kind]:
    """Return the kinds of a server, the best first."""
    counts: Counter[str] = Counter()
    for tool in tools:
        counts.update({*words_of(tool.words), *words_of(tool.description)})
    counts.update(dict.fromkeys(set(words_of(description)), 2))
    counts.update(dict.fromkeys(set(words_of(plain_words(name))), 4))
    rarity = _rarity()
    scores = {
        kind.name: sum(rarity[sign] * math.log1p(counts[sign]) for sign in kind.signs) / math.sqrt(len(kind.signs) + 4)
        for kind in catalog()
    }
    least = max(min(_MOST, _LEAST + _LEAST_OF_TOOL * len(tools)), _SHARE * max(scores.values()))
    found = [kind for kind in catalog() if scores[kind.name] >= least]
    return sorted(found, key=lambda kind: -scores[kind.name])


def catalog() -> tuple[Kind, ...]:
    """Return all kinds, in the order of the file."""
    return _read()[:-1]


def general() -> Kind:
    """Return what people ask for that needs no server."""
    return _read()[-1]


@lru_cache(1)
def _read() -> tuple[Kind, ...]:
    """Read the file: a line each for a kind's name, its signs, its number of queries, and its words with counts."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    kinds = []
    for name, signs, queries, words in zip(*[iter(lines)] * 4, strict=True):
        kinds.append(Kind(name, frozenset(signs.split()), int(queries), words))
    return tuple(kinds)


@lru_cache(1)
def _rarity() -> dict[str, float]:
    found = Counter(sign for kind in catalog() for sign in kind.signs)
    return {sign: math.log(1 + len(catalog()) / count) for sign, count in found.items()}
