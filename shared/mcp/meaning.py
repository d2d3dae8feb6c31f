"""Choose the MCP servers of a query by the meaning of their tools, descriptions and examples, with reasons.

A linear model over the embedding and the features of a text, fitted by ridge regression when the process starts: each
text of a server, or of a kind of server that it resembles, stands for one, and each general query for less than none.
docs/mcp.md has the measurements behind this choice.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from shared.mcp import kinds
from shared.mcp.config import Server, Servers
from shared.mcp.encoder import Matrix, embed
from shared.mcp.features import BEGINNING, PART, features, is_general
from shared.mcp.keywords import Keyword
from shared.mcp.scores import ALWAYS, Score
from shared.mcp.tools import Tools, plain_words, valid

# The value from which the best server is chosen, the value of others, and their share of the best. Fitted to labeled
# queries, for recall first: a missing server costs an answer, a needless one some hundred milliseconds.
THRESHOLD, SECOND, SHARE = 0.15, 0.22, 0.7
_STEEPNESS = 12.0  # of the score, which is one half at the threshold
_GENERAL = -0.3
_PENALTY = 0.5  # of a query that asks for an explanation
_RIDGE = 1.8
_EXAMPLE = 2.0  # the weight of an example of an entry, compared with a text of the catalog
_FEATURES = 1.3  # the weight of features compared with the embedding
_WEIGHTS = {"": 1.0, PART: 0.35, BEGINNING: 0.5}
_UNKNOWN = 9.0  # the weight, squared, of a word that is in no text
_PHRASE, _WORD = 0.2, 0.1
# Of a longer query, the beginning and the end are compared, each by itself: the question is in one of them.
_LONGEST, _END = 400, 200
_REASONS, _LEAST_WORD, _LEAST_LIKE, _LEAST_EXPLAINED = 5, 0.03, 0.35, 0.2


class MeaningRouter:
    """Scores servers by their `routing`, their tools, and what people ask of servers of their kind."""

    def __init__(self, servers: Servers, tools: Mapping[str, Tools] | None = None) -> None:
        self._routing = {name: server.routing for name, server in servers.items()}
        self._keywords = {name: [Keyword(text) for text in one.keywords] for name, one in self._routing.items()}
        texts, labels = _labeled(servers, tools or {})
        self._texts, self._own = texts, [np.flatnonzero(column > 0) for column in labels.T]
        self._vectors = _Vectors(texts)
        embeddings = _embedded(texts)
        self._embeddings = embeddings
        vectors = [self._vectors.of(text) for text in texts]
        kernel = embeddings @ embeddings.T + _FEATURES * _products(vectors)
        examples = {example for one in self._routing.values() for example in one.examples}
        kernel[np.diag_indices_from(kernel)] += [_RIDGE / (_EXAMPLE if text in examples else 1) for text in texts]
        solved = np.linalg.solve(kernel, labels)
        self._by_embedding: Matrix = embeddings.T @ solved
        self._by_feature: Matrix = np.zeros((self._vectors.count, len(servers)), dtype=np.float32)
        for vector, row in zip(vectors, solved, strict=True):
            self._by_feature[[*vector]] += np.outer(_FEATURES * np.array([*vector.values()]), row)

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
        embeddings, found = embed(pieces), [self._vectors.of(piece) for piece in pieces]
        values = embeddings @ self._by_embedding
        for number, (piece, vector) in enumerate(zip(pieces, found, strict=True)):
            values[number] += np.array([*vector.values()], dtype=np.float32) @ self._by_feature[[*vector]]
            if is_general(piece):
                values[number] *= _PENALTY
        best = values.argmax(axis=0)
        text = "\n".join(pieces)
        lowered = text.lower()
        likeness = embeddings @ self._embeddings.T
        total: dict[str, float] = {}
        scores = []
        for column, name in enumerate(self._routing):
            place = int(best[column])
            keywords = [keyword for keyword in self._keywords[name] if keyword.is_in(text, lowered)]
            total[name] = float(values[place, column]) + sum(_bonus(keyword.text) for keyword in keywords)
            if self._routing[name].always:
                scores.append(Score(name, 1.0, ALWAYS, sure=True))
                continue
            score = 1 / (1 + math.exp(min(_STEEPNESS * (THRESHOLD - total[name]), 700)))
            reasons = [f'keyword "{keyword.text}"' for keyword in keywords]
            if score >= _LEAST_EXPLAINED:
                reasons += self._reasons(column, found[place], likeness[place])
            scores.append(Score(name, round(score, 3), tuple(reasons), sure=bool(keywords)))
        return sorted(scores, key=lambda score: (-score.score, score.server)), total

    def _reasons(self, column: int, vector: Mapping[int, float], likeness: Matrix) -> list[str]:
        """Return the words that count most for a server, and the text of it that the query is most like."""
        shares = {
            self._vectors.words[place]: weight * float(self._by_feature[place, column])
            for place, weight in vector.items()
            if place in self._vectors.words
        }
        strong = sorted(
            (word for word in shares if shares[word] >= _LEAST_WORD), key=lambda word: (-shares[word], word)
        )
        own = self._own[column]
        nearest = int(own[likeness[own].argmax()]) if len(own) else 0
        like = [f'like "{self._texts[nearest]}"'] if len(own) and likeness[nearest] >= _LEAST_LIKE else []
        return [f'word "{word}"' for word in strong[:_REASONS]] + like


class _Vectors:
    """The features of texts as vectors of length one; the given texts define which features there are."""

    def __init__(self, texts: Sequence[str]) -> None:
        found = [features(text) for text in texts]
        counts = Counter(feature for one in found for feature in one)
        self._columns = {feature: column for column, feature in enumerate(counts)}
        self._weights = [
            _WEIGHTS[feature[0]] * math.log((len(texts) + 1) / (count + 0.5)) for feature, count in counts.items()
        ]
        self.words = {column: feature[1] for feature, column in self._columns.items() if not feature[0]}
        self.count = len(counts)

    def of(self, text: str) -> dict[int, float]:
        """Return the vector of a text: its weight in each column that is not zero."""
        found = features(text)
        known = {self._columns[one]: self._weights[self._columns[one]] for one in found if one in self._columns}
        unknown = sum(1 for one in found if not one[0] and one not in self._columns)
        length = math.sqrt(sum(weight * weight for weight in known.values()) + _UNKNOWN * unknown + 1e-6)
        return {column: weight / length for column, weight in known.items()}


def _products(vectors: Sequence[Mapping[int, float]]) -> Matrix:
    """Return the products of all pairs of vectors, which share few columns."""
    columns: dict[int, list[tuple[int, float]]] = {}
    for row, vector in enumerate(vectors):
        for column, weight in vector.items():
            columns.setdefault(column, []).append((row, weight))
    products: Matrix = np.zeros((len(vectors), len(vectors)), dtype=np.float32)
    for entries in columns.values():
        rows, weights = np.array([row for row, _ in entries]), np.array([weight for _, weight in entries])
        products[rows[:, None], rows] += np.outer(weights, weights)
    return products


def _labeled(servers: Servers, tools: Mapping[str, Tools]) -> tuple[list[str], Matrix]:
    """Return the texts of the catalog and of the servers, and what each stands for: a column for each server."""
    columns: dict[str, set[int]] = {text: set() for kind in kinds.catalog() for text in kind.texts}
    for column, (name, server) in enumerate(servers.items()):
        for text in _own_texts(name, server, tools.get(name, ())):
            columns.setdefault(text, set()).add(column)
    general = [text for text in kinds.general_queries() if text not in columns]
    labels: Matrix = np.zeros((len(columns) + len(general), len(servers)), dtype=np.float32)
    for row, wanted in enumerate(columns.values()):
        labels[row, list(wanted)] = 1
    labels[len(columns) :] = _GENERAL
    return [*columns, *general], labels


def _own_texts(name: str, server: Server, tools: Tools) -> list[str]:
    routing = server.routing
    own = [*routing.examples, f"{plain_words(name)} {routing.description}".strip()]
    own += [tool.description or tool.words for tool in tools]
    description = f"{routing.description} {' '.join(routing.keywords)}"
    return own + [text for kind in kinds.of(name, description, tools) for text in kind.texts]


@lru_cache(1)
def _embedded_catalog() -> dict[str, Matrix]:
    texts = [*(text for kind in kinds.catalog() for text in kind.texts), *kinds.general_queries()]
    return dict(zip(texts, embed(texts), strict=True))


def _embedded(texts: Sequence[str]) -> Matrix:
    known = _embedded_catalog()
    others = [text for text in texts if text not in known]
    own: dict[str, Any] = dict(zip(others, embed(others), strict=True)) if others else {}
    return np.stack([known[text] if text in known else own[text] for text in texts])


def _cut(piece: str, end: int) -> str:
    """Return a piece without the part of a word at the end where it was cut: 0 for its last word, 1 for its first."""
    head, _, tail = piece.rpartition(" ") if end == 0 else piece.partition(" ")
    return (head, tail)[end] or piece


def _bonus(keyword: str) -> float:
    return _PHRASE if " " in keyword or "*" in keyword else _WORD
