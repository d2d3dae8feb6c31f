"""Kinds of MCP servers, such as calendars and databases, and what people ask of each (`kinds.txt`).

A server that has no examples borrows those of the kinds that its name, description and tools resemble.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from shared.mcp.features import words_of
from shared.mcp.tools import Tool, plain_words

# A server is of the kinds with at least this score, more with each tool up to a most, because each adds words that
# other kinds have too; and at least this share of its best score.
_LEAST, _LEAST_OF_TOOL, _MOST, _SHARE = 0.9, 0.3, 3.2, 0.5


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind: the words in the tools of its servers, and the queries and words of people who need one."""

    name: str
    signs: frozenset[str]
    texts: tuple[str, ...]


def of(name: str, description: str, tools: Sequence[Tool]) -> list[Kind]:
    """Return the kinds of a server, the best first."""
    counts: Counter[str] = Counter()
    for tool in tools:
        counts.update({*words_of(tool.words), *words_of(tool.description)})
    counts.update(dict.fromkeys(set(words_of(description)), 2))
    counts.update(dict.fromkeys(set(words_of(plain_words(name))), 4))
    rarity = _rarity()
    scores = {
        kind: sum(rarity[sign] * math.log1p(counts[sign]) for sign in kind.signs) / math.sqrt(len(kind.signs) + 4)
        for kind in catalog()
    }
    least = max(min(_MOST, _LEAST + _LEAST_OF_TOOL * len(tools)), _SHARE * max(scores.values()))
    return sorted((kind for kind in scores if scores[kind] >= least), key=lambda kind: -scores[kind])


@lru_cache(1)
def catalog() -> tuple[Kind, ...]:
    """Read the catalog: `#` name, `+` signs, `~` words, and a query a line."""
    kinds: list[Kind] = []
    for block in _lines("kinds.txt").split("# ")[1:]:
        name, signs, *texts = block.splitlines()
        kinds.append(Kind(name, frozenset(words_of(signs)), tuple(text.removeprefix("~ ") for text in texts if text)))
    return tuple(kinds)


@lru_cache(1)
def general_queries() -> tuple[str, ...]:
    """Read queries that need no server."""
    return tuple(f"{_lines('general.txt')}\n{_lines('background.txt')}".split("\n"))


@lru_cache(1)
def _rarity() -> dict[str, float]:
    found = Counter(sign for kind in catalog() for sign in kind.signs)
    return {sign: math.log(1 + len(catalog()) / count) for sign, count in found.items()}


def _lines(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8").strip()
