"""What finished jobs show of MCP servers: how often each was offered and used for queries with the same word.

Counts are kept by a hash of the word, so that nobody can read a query from them. Two words may share a hash.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from shared.mcp.features import words_of

# Each server has so many pairs of counts: how often it was offered, and how often it was used. The first pair is of all
# jobs, and each other one of words with the same hash. A count is an ASCII character, because the client decodes text.
# One that is full stays as it is, together with its pair.
PAIRS = 4096
# The beginning of a query that is counted, and the most words of it.
_LONGEST, _MOST_WORDS = 400, 32
# So many jobs with a word count as much as what is usual for the server, and the sum of weights that counts fully.
_PRIOR, _SUM = 3.0, 2.0
_LEAST = 0.05  # a smaller value is not explained


@dataclass(frozen=True, slots=True)
class Use:
    """How much a server was used for queries like one, -1 to 1, and why."""

    value: float
    reason: str


def pairs_of(query: str) -> dict[int, str]:
    """Return the numbers of the pairs of counts for a query's words, each with its word."""
    found = dict.fromkeys(words_of(query[:_LONGEST]))
    return {1 + crc32(word.encode()) % (PAIRS - 1): word for word in list(found)[:_MOST_WORDS]}


def pair_of(counts: Sequence[str], number: int) -> tuple[int, int]:
    """Return a pair of counts, offered and used, of all periods; a string is as long as its last count."""
    offered = used = 0
    for one in counts:
        if 2 * number < len(one):
            offered += ord(one[2 * number])
            used += ord(one[2 * number + 1]) if 2 * number + 1 < len(one) else 0
    return offered, used


class Learned:
    """The counts of the servers of a process."""

    def __init__(self, counts: Mapping[str, list[str]]) -> None:
        """Take each server's counts of one or more periods."""
        self._counts = counts
        self._all = {server: self._pair(server, 0) for server in counts}
        self._all_uses = sum(used for _, used in self._all.values())

    def uses(self, query: str) -> dict[str, Use]:
        """Return what was learned of each server for a query; nothing for a server without evidence."""
        total: dict[str, float] = {}
        strongest: dict[str, tuple[float, str]] = {}
        wanted = pairs_of(query)
        for number, word in wanted.items():
            found = {server: self._pair(server, number) for server in self._counts}
            uses = sum(used for _, used in found.values())
            for server, (offered, used) in found.items():
                if offered:
                    weight = self._weight(server, offered, used, uses)
                    total[server] = total.get(server, 0) + weight
                    reason = f'used in {used} of {offered} queries with "{word}"'
                    strongest[server] = max(strongest.get(server, (0.0, "")), (abs(weight), reason))
        scale = _SUM * math.sqrt(len(wanted) + 1)
        values = {server: max(-1.0, min(1.0, sums / scale)) for server, sums in total.items()}
        return {server: Use(value, strongest[server][1]) for server, value in values.items() if abs(value) >= _LEAST}

    def _weight(self, server: str, offered: int, used: int, uses: int) -> float:
        """Return how much a word speaks for a server that used it so often, of all uses with the word.

        Compared with any word, how often the server is used when offered, and how often when some server is used.
        """
        all_offered, all_used = self._all[server]
        usual = (all_used + 1) / (all_offered + 2)
        share = (all_used + 1) / (self._all_uses + len(self._all))
        return math.log((used + _PRIOR * usual) / (offered + _PRIOR) / usual) + math.log(
            (used + _PRIOR * share) / (uses + _PRIOR) / share
        )

    def _pair(self, server: str, number: int) -> tuple[int, int]:
        return pair_of(self._counts[server], number)
