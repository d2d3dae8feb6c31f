"""Which MCP servers a query needs: decided from what their entries say, in well under a millisecond, and explained.

Each word of a query speaks for or against a server: its weight is the logarithm of how much more often it occurs in
the server's description and examples than in general questions (`background.txt`). A keyword speaks as loudly
as its entry's author meant it to. docs/mcp.md has the measurements that this was chosen by.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.mcp.config import Servers
from shared.mcp.words import words

# The sum of weights at which the score is one half, and a server is chosen. Found on one half of the labelled queries.
THRESHOLD = 8.0
_PHRASE, _WORD = 9.0, 7.0
# Weight of an occurrence that was not seen, in texts: how sure so few examples can make us.
_UNSEEN = 0.2
# An entry's examples weigh as if they were so many, so that one more never makes the others speak lower.
_TEXTS = 10.0
_WORST = -1.5  # what a word of general questions says against a server at most
# Of a long query, what is asked stands at its beginning or at its end; characters.
_LOOKED_AT = 1000
_URL = re.compile(r"((?:https?://|www\.)[^\s/]{1,300}+)/\S*")
_ANY = r"[^\s,;]{1,200}?"
_REASONS = 5
_ALWAYS = ("always",)
_TOLD = 0.05  # what scores less is told without reasons


@dataclass(frozen=True, slots=True)
class Score:
    """How well a server fits, 0 to 1; `reasons` name what decided, the strongest first.

    It is `sure` when a keyword or a whole example spoke for it, and not only words.
    """

    server: str
    score: float
    reasons: tuple[str, ...]
    sure: bool


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
            name: [_Keyword(keyword) for keyword in routing.keywords] for name, routing in self._servers.items()
        }

    def choose(self, query: str) -> tuple[list[str], list[Score]]:
        """Return the names of the servers that a query needs, and the scores of all, the best first.

        The best is chosen from one half on; another beside it only when it is sure: two servers share many a word.
        """
        scores = self.scores(query)
        best = max((score.score for score in scores if score.reasons != _ALWAYS), default=0.0)
        chosen = [score for score in scores if score.score >= 0.5 and (score.sure or score.score == best)]
        return [score.server for score in chosen], scores

    def scores(self, query: str) -> list[Score]:
        """Return the score of every server, the best first."""
        if len(query) > 2 * _LOOKED_AT:
            query = f"{query[:_LOOKED_AT]}\n{query[-_LOOKED_AT:]}"
        found = frozenset(words(query))
        # The path of a URL names no file.
        query = _URL.sub(r"\1", query)
        lowered = query.lower()
        scores = [self._score(name, query, lowered, found) for name in self._servers]
        return sorted(scores, key=lambda score: (-score.score, score.server))

    def _score(self, name: str, query: str, lowered: str, found: frozenset[str]) -> Score:
        routing = self._servers[name]
        if routing.always:
            return Score(name, 1.0, _ALWAYS, sure=True)
        weights = self._weights[name]
        said = {word: weights.get(word, self._against.get(word, 0.0)) for word in found}
        keywords = [keyword for keyword in self._keywords[name] if keyword.is_in(query, lowered)]
        same = next((example for example, known in self._examples[name] if _are_alike(known, found)), None)
        # What stands in a keyword has spoken with it.
        spoken = {word for keyword in keywords for word in words(keyword.text)}
        total = sum(weight for word, weight in said.items() if word not in spoken)
        total += sum(_PHRASE if " " in keyword.text or "*" in keyword.text else _WORD for keyword in keywords)
        total += _PHRASE if same else 0
        score = 1 / (1 + math.exp(min((THRESHOLD - total) / 2, 700)))
        reasons = self._reasons(name, [keyword.text for keyword in keywords], said) if score >= _TOLD else ()
        return Score(name, round(score, 3), reasons, sure=bool(keywords or same))

    def _reasons(self, name: str, keywords: list[str], said: Mapping[str, float]) -> tuple[str, ...]:
        strong = sorted((word for word in said if said[word] >= 1), key=lambda word: (-said[word], word))
        reasons = [f'keyword "{keyword}"' for keyword in keywords] + [f'word "{word}"' for word in strong]
        like, shared = max(
            ((example, sum(said[word] for word in known & set(strong))) for example, known in self._examples[name]),
            key=lambda pair: pair[1],
            default=("", 0),
        )
        return (*reasons[:_REASONS], *([f'like "{like}"'] if shared else []))


@dataclass(frozen=True, slots=True)
class _General:
    """Questions that need no server: in how many of them each word occurs."""

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
    """Say whether a query is an example in other words, or nearly."""
    both = len(example & query)
    return both >= 2 and both >= 0.75 * (len(example) + len(query) - both)


def _body(parts: list[str]) -> str:
    """Return the expression of a keyword from its parts between each `*`.

    Every part but the last is taken where it comes first, for good: what lies between that and a later place, the next
    `*` can stand for too. Tried at every place, a few of them would take minutes for a query of one long word.
    """
    first, *rest = parts
    stretched = [f"{_ANY}{part}" for part in rest]
    return first + "".join(f"(?>{part})" for part in stretched[:-1]) + "".join(stretched[-1:])


class _Keyword:
    """A keyword: whole words, in any case, also in the plural; `*` stands for up to 200 characters but no space."""

    def __init__(self, text: str) -> None:
        self.text = text
        body = _body([re.escape(part).replace(r"\ ", r"\s+") for part in text.split("*")])
        before = r"(?<!\w)" if text[0].isalnum() else ""
        after = r"(?:s|es)?(?!\w)" if text[-1].isalnum() else ""
        self._pattern = re.compile(before + body + after, re.IGNORECASE)
        # An empty one is in every query. Case folds in more ways than one beyond ASCII.
        self._longest = max(re.split(r"[*\s]+", text.lower()), key=len) if text.isascii() else ""

    def is_in(self, query: str, lowered: str) -> bool:
        """Say whether a query has it; `lowered` is the query in lower case, in which most are not even found."""
        may_be = self._longest in lowered or not lowered.isascii()
        return may_be and self._pattern.search(query) is not None
