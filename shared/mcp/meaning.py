"""Choose the MCP servers of a query by the meaning of their tools, descriptions and examples, with reasons.

A kernel over the embeddings and the features of texts, fitted by ridge regression when the process starts: each text of
a server, or of a kind of server that it resembles, stands for one, and each general query for less than none.
docs/mcp.md has the measurements behind this choice.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from shared.mcp import kinds
from shared.mcp.config import Server, Servers
from shared.mcp.encoder import Matrix, embed, release
from shared.mcp.features import is_general
from shared.mcp.keywords import Keyword
from shared.mcp.scores import ALWAYS, Score
from shared.mcp.solving import solve
from shared.mcp.tools import Tools, plain_words, valid
from shared.mcp.vectors import Vector, Vectors

if TYPE_CHECKING:
    from shared.mcp.learned import Learned

# The value from which the best server is chosen, the value of others, and their share of the best. Fitted to labeled
# queries, for recall first: a missing server costs an answer, a needless one some hundred milliseconds.
THRESHOLD, SECOND, SHARE = 0.10, 0.15, 0.7
_STEEPNESS = 12.0  # of the score, which is one half at the threshold
_GENERAL = -0.2
_PENALTY = 0.5  # of a query that asks for an explanation
_RIDGE = 0.5
_SHARPNESS = 3.0  # how fast the likeness of two texts falls with the angle between their embeddings
_ALONE = 2.0  # what a text of a server stands for that is of no kind, and has few texts
_EXAMPLE = 2.0  # the weight of an example of an entry, compared with a text of the catalog
_FEATURES = 0.4  # the weight of features compared with the embedding
_PHRASE, _WORD = 0.2, 0.1
_LEARNED = 0.05  # the most that the use of a server adds or takes
# Of a longer query, the beginning and the end are compared, each by itself: the question is in one of them.
_LONGEST, _END = 400, 200
_REASONS, _LEAST_WORD, _LEAST_LIKE, _LEAST_EXPLAINED = 5, 0.03, 0.35, 0.2


class MeaningRouter:
    """Scores servers by their `routing`, their tools, and what people ask of servers of their kind."""

    def __init__(self, servers: Servers, tools: Mapping[str, Tools] | None = None) -> None:
        self.learned: Learned | None = None
        self._routing = {name: server.routing for name, server in servers.items()}
        self._keywords = {name: [Keyword(text) for text in one.keywords] for name, one in self._routing.items()}
        texts, labels = _labeled(servers, tools or {})
        self._texts, self._own = texts, [np.flatnonzero(column > 0) for column in labels.T]
        self._vectors, known = Vectors(texts), _known()
        # The catalog's are shared by all routers of the process.
        own = embed(texts[len(known.texts) :]) if len(texts) > len(known.texts) else known.embeddings[:0]
        self._embeddings = known.embeddings, own
        both = np.concatenate(self._embeddings)
        kernel = _alike(both @ both.T)
        self._vectors.add_products(kernel, _FEATURES)
        examples = {example for one in self._routing.values() for example in one.examples}
        kernel[np.diag_indices_from(kernel)] += [_RIDGE / (_EXAMPLE if text in examples else 1) for text in texts]
        self._by_text: Matrix = solve(kernel, labels)
        self._by_feature = self._vectors.by_column(_FEATURES * self._by_text)
        del both, kernel
        release()

    def choose(self, query: str) -> tuple[list[str], list[Score]]:
        """Return the names of the chosen servers, and the scores of all servers, the best first."""
        scores, values = self._scored(query)
        others = [values[score.server] for score in scores if score.reasons != ALWAYS]
        best = max(others, default=0.0)
        least = min(max(SECOND, SHARE * best), max(THRESHOLD, best))
        chosen = [score.server for score in scores if score.reasons == ALWAYS or values[score.server] >= least]
        return chosen, scores

    def scores(self, query: str) -> list[Score]:
        """Return the score of every server, the best first."""
        return self._scored(query)[0]

    def _scored(self, query: str) -> tuple[list[Score], dict[str, float]]:
        query = valid(query)
        pieces = [query] if len(query) <= _LONGEST else [_cut(query[:_END], 0), _cut(query[-_END:], 1)]
        embeddings = embed(pieces)
        likeness = np.concatenate([embeddings @ some.T for some in self._embeddings], axis=1)
        values = _alike(likeness.copy()) @ self._by_text
        vectors = [self._vectors.of(piece) for piece in pieces]
        for number, (piece, vector) in enumerate(zip(pieces, vectors, strict=True)):
            values[number] += vector.values @ self._by_feature[vector.columns]
            if is_general(piece):
                values[number] *= _PENALTY
        best = values.argmax(axis=0)
        text = "\n".join(pieces)
        lowered = text.lower()
        total: dict[str, float] = {}
        scores = []
        uses = {} if self.learned is None else self.learned.uses(query)
        for column, name in enumerate(self._routing):
            place = int(best[column])
            keywords = [keyword for keyword in self._keywords[name] if keyword.is_in(text, lowered)]
            total[name] = float(values[place, column]) + sum(_bonus(keyword.text) for keyword in keywords)
            use = uses.get(name)
            total[name] += _LEARNED * use.value if use else 0
            if self._routing[name].always:
                scores.append(Score(name, 1.0, ALWAYS, sure=True))
                continue
            score = 1 / (1 + math.exp(min(_STEEPNESS * (THRESHOLD - total[name]), 700)))
            reasons = [f'keyword "{keyword.text}"' for keyword in keywords]
            reasons += [use.reason] if use else []
            if score >= _LEAST_EXPLAINED:
                reasons += self._reasons(column, vectors[place], likeness[place])
            scores.append(Score(name, round(score, 3), tuple(reasons), sure=bool(keywords)))
        return sorted(scores, key=lambda score: (-score.score, score.server)), total

    def _reasons(self, column: int, vector: Vector, likeness: Matrix) -> list[str]:
        """Return the words that count most for a server, and the text of it that the query is most like."""
        shares = {word: value * float(self._by_feature[place, column]) for word, place, value in vector.words}
        strong = sorted(
            (word for word in shares if shares[word] >= _LEAST_WORD), key=lambda word: (-shares[word], word)
        )
        own = self._own[column]
        nearest = int(own[likeness[own].argmax()]) if len(own) else 0
        like = [f'like "{self._texts[nearest]}"'] if len(own) and likeness[nearest] >= _LEAST_LIKE else []
        return [f'word "{word}"' for word in strong[:_REASONS]] + like


def _alike(products: Matrix) -> Matrix:
    """Turn products of embeddings in place into how alike the texts are: 1 for the same."""
    products -= 1
    products *= _SHARPNESS
    return np.exp(products, out=products)


def _labeled(servers: Servers, tools: Mapping[str, Tools]) -> tuple[list[str], Matrix]:
    """Return the texts of the catalog and of the servers, and what each stands for: a column for each server."""
    known = _known()
    columns: dict[str, set[int]] = {text: set() for text in known.texts}
    stands_for = np.ones(len(servers), dtype=np.float32)
    for column, (name, server) in enumerate(servers.items()):
        borrowed = _borrowed(name, server, tools.get(name, ()))
        stands_for[column] = 1 if borrowed else _ALONE
        for text in _own_texts(name, server, tools.get(name, ())) + borrowed:
            columns.setdefault(text, set()).add(column)
    labels: Matrix = np.zeros((len(columns), len(servers)), dtype=np.float32)
    for row, (text, wanted) in enumerate(columns.items()):
        labels[row] = _GENERAL if not wanted and text in known.general else 0
        labels[row, list(wanted)] = stands_for[list(wanted)]
    return [*columns], labels


def _own_texts(name: str, server: Server, tools: Tools) -> list[str]:
    routing = server.routing
    own = [*routing.examples, f"{plain_words(name)} {routing.description}".strip()]
    return own + [tool.description or tool.words for tool in tools]


def _borrowed(name: str, server: Server, tools: Tools) -> list[str]:
    description = f"{server.routing.description} {' '.join(server.routing.keywords)}"
    return [text for kind in kinds.of(name, description, tools) for text in kind.texts]


@dataclass(frozen=True)
class _Known:
    """The texts of the catalog, of which some are general queries, and their embeddings."""

    texts: tuple[str, ...]
    general: frozenset[str]
    embeddings: Matrix


@lru_cache(1)
def _known() -> _Known:
    catalog = dict.fromkeys(text for kind in kinds.catalog() for text in kind.texts)
    general = frozenset(kinds.general_queries()) - catalog.keys()
    texts = (*catalog, *sorted(general))
    return _Known(texts, general, embed(texts))


def _cut(piece: str, end: int) -> str:
    """Return a piece without the part of a word at the end where it was cut: 0 for its last word, 1 for its first."""
    head, _, tail = piece.rpartition(" ") if end == 0 else piece.partition(" ")
    return (head, tail)[end] or piece


def _bonus(keyword: str) -> float:
    return _PHRASE if " " in keyword or "*" in keyword else _WORD
