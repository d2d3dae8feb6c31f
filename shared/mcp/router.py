"""Choose the MCP servers of a query by the words of their `routing` entries, where the encoder is not installed.

Each word of a query has a weight for each server: the logarithm of how much more often it occurs in the server's
description and examples than in general questions (`background.txt`). A keyword has a fixed weight. docs/mcp.md has the
measurements behind this choice.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.mcp.config import Servers
from shared.mcp.keywords import Keyword
from shared.mcp.scores import ALWAYS, Score
from shared.mcp.words import words

# The sum of weights for a score of one half, from which a server is chosen. Fitted to half of the labeled queries.
THRESHOLD = 8.0
_PHRASE, _WORD = 9.0, 7.0
# Additive smoothing, in texts: the weight of occurrences that the few examples do not contain.
_UNSEEN = 0.2
# The examples of an entry weigh as this many texts, so that an additional example never weakens the others.
_TEXTS = 10.0
_WORST = -1.5  # the lowest weight that a word of general questions may have
# Characters of a long query that are scored, at its beginning and at its end, where the question is.
_SCORED_LENGTH = 1000
_URL = re.compile(r"((?:https?://|www\.)[^\s/]{1,300}+)/\S*")
_REASONS = 5
_MIN_EXPLAINED = 0.05  # lower scores have no reasons


class Router:
    """Scores servers by their `routing`."""

    def __init__(self, servers: Servers) -> None:
        self._servers = {name: server.routing for name, server in servers.items()}
        general = _general()
        self._weights = {
            name: _weights([*routing.examples, routing.description, *routing.keywords], general)
            for name, routing in self._servers.items()
        }
        self._against = {word: max(_WORST, _log_odds(0, count, general)) for word, count in general.counts.items()}
        self._examples = {
            name: [(example, frozenset(words(example))) for example in routing.examples]
            for name, routing in self._servers.items()
        }
        self._keywords = {
            name: [Keyword(keyword) for keyword in routing.keywords] for name, routing in self._servers.items()
        }

    def choose(self, query: str) -> tuple[list[str], list[Score]]:
        """Return the names of the chosen servers, and the scores of all servers, the best first.

        The best server is chosen if its score is at least one half. Others must also be `sure`, because two servers
        share many words.
        """
        scores = self.scores(query)
        best = max((score.score for score in scores if score.reasons != ALWAYS), default=0.0)
        chosen = [score for score in scores if score.score >= 0.5 and (score.sure or score.score == best)]
        return [score.server for score in chosen], scores

    def scores(self, query: str) -> list[Score]:
        """Return the score of every server, the best first."""
        if len(query) > 2 * _SCORED_LENGTH:
            query = f"{query[:_SCORED_LENGTH]}\n{query[-_SCORED_LENGTH:]}"
        found = frozenset(words(query))
        # A file name in the path of a URL is not a file.
        query = _URL.sub(r"\1", query)
        lowered = query.lower()
        scores = [self._score(name, query, lowered, found) for name in self._servers]
        return sorted(scores, key=lambda score: (-score.score, score.server))

    def _score(self, name: str, query: str, lowered: str, found: frozenset[str]) -> Score:
        routing = self._servers[name]
        if routing.always:
            return Score(name, 1.0, ALWAYS, sure=True)
        weights = self._weights[name]
        weight_of = {word: weights.get(word, self._against.get(word, 0.0)) for word in found}
        keywords = [keyword for keyword in self._keywords[name] if keyword.is_in(query, lowered)]
        same = next((example for example, known in self._examples[name] if _are_alike(known, found)), None)
        # Words of a keyword count with the keyword only.
        counted = {word for keyword in keywords for word in words(keyword.text)}
        total = sum(weight for word, weight in weight_of.items() if word not in counted)
        total += sum(_PHRASE if " " in keyword.text or "*" in keyword.text else _WORD for keyword in keywords)
        total += _PHRASE if same else 0
        score = 1 / (1 + math.exp(min((THRESHOLD - total) / 2, 700)))
        reasons = (
            self._reasons(name, [keyword.text for keyword in keywords], weight_of) if score >= _MIN_EXPLAINED else ()
        )
        return Score(name, round(score, 3), reasons, sure=bool(keywords or same))

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


@dataclass(frozen=True, slots=True)
class _General:
    """General questions, which need no server: the number of questions in which each word occurs."""

    counts: Counter[str]
    texts: int


def _general() -> _General:
    lines = Path(__file__).with_name("background.txt").read_text(encoding="utf-8").splitlines()
    return _General(_occurrences(lines), len(lines))


def _occurrences(texts: Iterable[str]) -> Counter[str]:
    return Counter(word for text in texts for word in set(words(text)))


def _weights(texts: list[str], general: _General) -> dict[str, float]:
    return {word: _log_odds(count, general.counts[word], general) for word, count in _occurrences(texts).items()}


def _log_odds(here: int, there: int, general: _General) -> float:
    return math.log((here + _UNSEEN) / _TEXTS) - math.log((there + _UNSEEN) / (general.texts + 0.5))


def _are_alike(example: frozenset[str], query: frozenset[str]) -> bool:
    """Return whether a query and an example have nearly the same words."""
    both = len(example & query)
    return both >= 2 and both >= 0.75 * (len(example) + len(query) - both)
