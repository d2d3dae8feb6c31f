"""Choose the MCP servers of a query by words, where the encoder is not installed.

Each word of a query has a weight for each server: the logarithm of how much more often it occurs in the texts of the
server, and of the kinds of servers that it resembles, than in all other texts of the catalog. A keyword has a fixed
weight. docs/mcp.md has the measurements behind this choice.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from shared.mcp import kinds
from shared.mcp.config import Server, Servers
from shared.mcp.features import is_general, words_of
from shared.mcp.keywords import Keyword
from shared.mcp.pasted import wish
from shared.mcp.scores import ALWAYS, Score
from shared.mcp.tools import Tools, plain_words, valid

if TYPE_CHECKING:
    from shared.mcp.learned import Learned, Use

# The value from which a server is chosen, and how much below the best one. Fitted to labeled queries.
THRESHOLD, BELOW = 2.2, 0.7
_STEEPNESS = 1.5  # of the score, which is one half at the threshold
_PHRASE, _WORD, _SAME = 3.0, 2.0, 3.0
_PENALTY = 2.0  # of a query that asks for an explanation
# Additive smoothing, in texts: the weight of occurrences that the few texts do not contain.
_UNSEEN = 0.5
_LEARNED = 1.0  # the most that the use of a server adds or takes
_EXAMPLE = 2  # the weight of a text of an entry, compared with a text of the catalog
_WORST = -2.0  # the lowest weight of a word that only other texts have
_UNKNOWN = -0.3  # the weight of a word that no text has
# Characters of a long query that are scored, at its beginning and at its end, where the question is.
_SCORED_LENGTH = 1000
_URL = re.compile(r"((?:https?://|www\.)[^\s/]{1,300}+)/\S*")
_REASONS = 5
_MIN_EXPLAINED = 0.05  # lower scores have no reasons


class Router:
    """Scores servers by the words of their `routing`, their tools, and what people ask of servers of their kind."""

    def __init__(self, servers: Servers, tools: Mapping[str, Tools] | None = None) -> None:
        self.learned: Learned | None = None
        self._servers = {name: server.routing for name, server in servers.items()}
        self._weights = {name: _weights(name, server, (tools or {}).get(name, ())) for name, server in servers.items()}
        self._examples = {
            name: [(example, frozenset(words_of(example))) for example in routing.examples]
            for name, routing in self._servers.items()
        }
        self._keywords = {
            name: [Keyword(keyword) for keyword in routing.keywords] for name, routing in self._servers.items()
        }

    def choose(self, query: str) -> tuple[list[str], list[Score]]:
        """Return the names of the chosen servers, and the scores of all servers, the best first."""
        scored = self._scored(query)
        best = max((value for value, score in scored if score.reasons != ALWAYS), default=0.0)
        least = max(THRESHOLD, best - BELOW)
        chosen = [score.server for value, score in scored if score.reasons == ALWAYS or value >= least]
        return chosen, [score for _, score in scored]

    def _scored(self, query: str) -> list[tuple[float, Score]]:
        whole = valid(query)
        query = wish(whole)
        has_pasted = query != whole
        if len(query) > 2 * _SCORED_LENGTH:
            query = f"{query[:_SCORED_LENGTH]}\n{query[-_SCORED_LENGTH:]}"
        found = frozenset(words_of(query))
        general = _PENALTY if has_pasted or is_general(query) else 0.0
        # A file name in the path of a URL is not a file.
        query = _URL.sub(r"\1", query)
        lowered = query.lower()
        uses = {} if self.learned is None else self.learned.uses(query)
        scored = [self._score(name, query, lowered, found, general, uses.get(name)) for name in self._servers]
        return sorted(scored, key=lambda one: (-one[1].score, one[1].server))

    def _score(
        self, name: str, query: str, lowered: str, found: frozenset[str], general: float, use: "Use | None"
    ) -> tuple[float, Score]:
        if self._servers[name].always:
            return 0.0, Score(name, 1.0, ALWAYS, sure=True)
        weights, counts = self._weights[name], _counts()
        weight_of = {
            word: weights[word] if word in weights else max(_WORST, -0.4 * math.log1p(counts[word])) or _UNKNOWN
            for word in found
        }
        keywords = [keyword for keyword in self._keywords[name] if keyword.is_in(query, lowered)]
        same = any(_are_alike(known, found) for _, known in self._examples[name])
        total = sum(weight_of.values()) / math.sqrt(len(found) + 1) - general
        total += sum(_PHRASE if " " in keyword.text or "*" in keyword.text else _WORD for keyword in keywords)
        total += _SAME if same else 0
        total += _LEARNED * use.value if use else 0
        score = 1 / (1 + math.exp(min(_STEEPNESS * (THRESHOLD - total), 700)))
        reasons = (
            self._reasons(name, [keyword.text for keyword in keywords], weight_of) if score >= _MIN_EXPLAINED else ()
        )
        reasons += (use.reason,) if use else ()
        return total, Score(name, round(score, 3), reasons, sure=bool(keywords or same))

    def _reasons(self, name: str, keywords: list[str], weight_of: Mapping[str, float]) -> tuple[str, ...]:
        strong = sorted((word for word in weight_of if weight_of[word] >= 1), key=lambda word: (-weight_of[word], word))
        reasons = [f'keyword "{keyword}"' for keyword in keywords] + [f'word "{word}"' for word in strong]
        like, shared = max(
            (
                (example, sum(weight_of[word] for word in known & set(strong)))
                for example, known in self._examples[name]
            ),
            key=lambda pair: pair[1],
            default=("", 0),
        )
        return (*reasons[:_REASONS], *([f'like "{like}"'] if shared else []))


def _weights(name: str, server: Server, tools: Tools) -> dict[str, float]:
    """Return the weight of each word of a server's texts and of those of its kinds."""
    routing = server.routing
    of = kinds.of(name, f"{routing.description} {' '.join(routing.keywords)}", tools)
    own = [*routing.examples, f"{plain_words(name)} {routing.description}"] * _EXAMPLE
    own += [tool.description or tool.words for tool in tools]
    theirs = Counter[str]()
    for kind in of:
        theirs.update(kind.words)
    here, everywhere = theirs + Counter(word for text in own for word in set(words_of(text))), _counts()
    borrowed = sum(kind.queries for kind in of)
    texts, others = borrowed + len(own), sum(kind.queries for kind in _all()) - borrowed
    return {
        word: math.log((count + _UNSEEN) / (texts + 1))
        - math.log((max(0, everywhere[word] - theirs[word]) + _UNSEEN) / (others + 1))
        for word, count in here.items()
    }


def _all() -> list[kinds.Kind]:
    return [*kinds.catalog(), kinds.general()]


@lru_cache(1)
def _counts() -> Counter[str]:
    """Return the number of queries of the catalog in which each word occurs."""
    counts = Counter[str]()
    for kind in _all():
        counts.update(kind.words)
    return counts


def _are_alike(example: frozenset[str], query: frozenset[str]) -> bool:
    """Return whether a query and an example have nearly the same words."""
    both = len(example & query)
    return both >= 2 and both >= 0.75 * (len(example) + len(query) - both)
