"""Choose the MCP servers of a query by the meaning of their tools, descriptions and examples, with reasons.

What people ask of the kinds of servers is known from a model that was fitted beforehand. What the own texts of the
servers add to it is fitted when the process starts: a kernel over embeddings and features, by ridge regression.
docs/mcp.md has the measurements behind this choice.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shared.mcp import kinds
from shared.mcp.clauses import clauses
from shared.mcp.config import Servers
from shared.mcp.encoder import embed, release
from shared.mcp.features import features, is_general
from shared.mcp.fitted import ANCHORS, FEATURES, GENERAL, alike, fitted
from shared.mcp.keywords import Keyword
from shared.mcp.pasted import wish
from shared.mcp.quantized import Matrix
from shared.mcp.scores import ALWAYS, Score
from shared.mcp.spelling import words_in
from shared.mcp.tools import Tools, plain_words, valid
from shared.mcp.vectors import Numbers, Vector, Vectors

if TYPE_CHECKING:
    from shared.mcp.learned import Learned

# The value from which the best server is chosen. Fitted to labeled queries, for recall first: a missing server costs an
# answer, a needless one some hundred milliseconds.
THRESHOLD = 0.05
# The more servers, the more of them have a high value by chance. The least value of another than the best, the share of
# the best that it needs, and a value that is enough without it, are these for so many servers.
_NUMBERS, SECOND, SHARE, ENOUGH = (6, 12, 20), (0.06, 0.06, 0.08), (0.6, 0.7, 0.78), (0.16, 0.18, 0.28)
# Below so many, a value counts more for each time that their number halves, but not for fewer than two.
_MANY, _OF_HALF, _FEWEST = 12, 0.015, 2
# The value for one clause of a query from which a server is chosen too, and its least share of the best for all of it.
OF_CLAUSE, CLAUSE_SHARE = 0.2, 0.3
_OF_EXAMPLES = 0.02  # what examples add to the value of a server for queries that do not need it
_STEEPNESS = 24.0  # of the score, which is one half at the threshold
_PENALTY = 0.3  # of a query that asks for an explanation
_RIDGE = 2.0
_ALONE = 1.5  # what a text of a server stands for that is of no kind, and has few texts
_EXAMPLE = 2.0  # the weight of an example of an entry, compared with its other texts
_PHRASE, _WORD = 0.2, 0.1
_LEARNED = 0.02  # the most that the use of a server adds or takes
# Of a longer query, the beginning and the end are compared, each by itself: the question is in one of them.
_LONGEST, _END = 400, 120
_REASONS, _LEAST_WORD, _LEAST_LIKE, _LEAST_EXPLAINED = 5, 0.03, 0.14, 0.2


class MeaningRouter:
    """Scores servers by their `routing`, their tools, and what people ask of servers of their kind."""

    def __init__(self, servers: Servers, tools: Mapping[str, Tools] | None = None) -> None:
        self.learned: Learned | None = None
        self._names = [*servers]
        routing = [server.routing for server in servers.values()]
        self._keywords = [(column, Keyword(text)) for column, one in enumerate(routing) for text in one.keywords]
        self._always = np.array([one.always for one in routing], dtype=bool)
        number = max(int(np.count_nonzero(~self._always)), _FEWEST)
        self._second = float(np.interp(number, _NUMBERS, SECOND))
        self._share = float(np.interp(number, _NUMBERS, SHARE))
        self._enough = float(np.interp(number, _NUMBERS, ENOUGH))
        # What is added to the values of the servers whatever the query.
        self._added = np.array([-_OF_EXAMPLES if one.examples else 0.0 for one in routing])
        self._added += _OF_HALF * max(0.0, math.log2(_MANY / number))
        model = fitted()
        of_kinds, counts = _of_kinds(servers, tools or {})
        wanted = _wanted(servers, tools or {})
        # A server has a column for each of its kinds, and its value is the highest of theirs. One of no kind has one.
        self._starts: Numbers = np.cumsum([0, *counts[:-1]], dtype=np.int32)
        own = [*wanted]
        self._own_words = frozenset(word for text in own for word in words_in(text))
        self._texts = [*model.texts, *own]
        # The texts of each server and of its kinds, of which a reason names one. A text of no kind has the last row.
        of_texts = np.vstack([self._of_servers(of_kinds), np.zeros(len(servers))])[model.kinds]
        is_like = np.concatenate([of_texts, np.zeros((len(own), len(servers)))])
        for row, of in enumerate(wanted.values(), len(model.texts)):
            is_like[row, list(of)] = 1
        self._like = [np.flatnonzero(column) for column in is_like.T]
        embeddings = embed(own)
        vectors = [model.vocabulary.of(features(text)) for text in own]
        # Some texts of the model are in the equations too: nothing is added to their values. A server of no kind has a
        # value for queries that need no server.
        has_kind = of_kinds[:, self._starts].any(axis=0)
        added: Matrix = np.zeros((ANCHORS + len(own), len(servers)), dtype=np.float32)
        added[np.ix_(model.kinds[:ANCHORS] < 0, ~has_kind)] = GENERAL
        added[ANCHORS:] = -self._of_servers(
            model.values(alike(model.embeddings.products(embeddings)), vectors) @ of_kinds
        )
        for row, of in enumerate(wanted.values(), ANCHORS):
            added[row, list(of)] += np.where(has_kind, 1, _ALONE)[list(of)]
        near = np.concatenate([model.anchors, embeddings])
        kernel = alike(near @ near.T)
        own_vectors = Vectors(own)
        own_vectors.add_products(kernel[ANCHORS:, ANCHORS:], FEATURES)
        examples = {example for one in routing for example in one.examples}
        weights = [1] * ANCHORS + [_EXAMPLE if text in examples else 1 for text in own]
        kernel[np.diag_indices(len(kernel))] += _RIDGE / np.array(weights, dtype=np.float32)
        added = np.linalg.solve(kernel, added).repeat(counts, axis=1)
        self._model = model  # shared by all routers of the process
        self._embeddings = embeddings
        self._by_text = np.concatenate([model.by_text @ of_kinds, added[ANCHORS:]])
        self._by_text[:ANCHORS] += added[:ANCHORS]
        self._by_features = (
            (model.vocabulary, model.by_feature @ (model.scales[:, None] * of_kinds)),
            (own_vectors.vocabulary, own_vectors.by_column(FEATURES * added[ANCHORS:])),
        )
        del kernel
        release()

    def choose(self, query: str) -> tuple[list[str], list[Score]]:
        """Return the names of the chosen servers, and the scores of all servers, the best first."""
        query = valid(query)
        (whole,) = self._compared([query])
        best = float(whole.values.max(initial=-np.inf))
        least = min(max(self._second, min(self._share * best, self._enough)), max(THRESHOLD, best))
        shown = dict.fromkeys(map(int, np.flatnonzero(self._always | (whole.values >= least))), whole)
        may_be = set(map(int, np.flatnonzero(whole.values >= CLAUSE_SHARE * best))) - shown.keys()
        # Most queries of several clauses are for one server, and need no look at each clause.
        if best >= THRESHOLD and may_be and len(query) <= _LONGEST:
            for part in self._compared(clauses(wish(query))):
                column = int(part.values.argmax())
                if column in may_be and part.values[column] >= OF_CLAUSE:
                    shown.setdefault(column, part)
        chosen = {self._names[column] for column in shown}
        scores = self._scores(shown, whole)
        return [score.server for score in scores if score.server in chosen], scores

    def scores(self, query: str) -> list[Score]:
        """Return the score of every server, the best first."""
        (whole,) = self._compared([valid(query)])
        return self._scores({}, whole)

    def _compared(self, queries: Sequence[str]) -> list["_Compared"]:
        """Compare queries with all servers, all at once: what takes time is to read the matrices."""
        if not queries:
            return []
        pieces = [_pieces(query) for query in queries]
        spelling = self._model.spelling
        corrected = [spelling.corrected(piece, self._own_words) for of_query in pieces for piece in of_query]
        found = iter(self._of_pieces(corrected))
        return [
            self._of_query(query, of_query, list(islice(found, len(of_query))))
            for query, of_query in zip(queries, pieces, strict=True)
        ]

    def _of_pieces(self, pieces: Sequence[str]) -> list["_Piece"]:
        embeddings = embed(pieces)
        products = self._model.embeddings.products(embeddings), embeddings @ self._embeddings.T
        likeness = alike(np.concatenate(products, axis=1))
        return [self._of_piece(piece, row) for piece, row in zip(pieces, likeness, strict=True)]

    def _of_piece(self, piece: str, likeness: Matrix) -> "_Piece":
        values = likeness @ self._by_text
        found = features(piece)
        parts = [(vocabulary.of(found), by_feature) for vocabulary, by_feature in self._by_features]
        for vector, by_feature in parts:
            values += vector.values @ by_feature[vector.columns]
        return _Piece(self._of_servers(values), likeness, parts, self._starts)

    def _of_servers(self, values: Matrix) -> Matrix:
        """Return the values of the servers for the values of their kinds."""
        of_servers: Matrix = np.maximum.reduceat(values, self._starts, axis=-1)
        return of_servers

    def _of_query(self, query: str, pieces: Sequence[str], found: Sequence["_Piece"]) -> "_Compared":
        of_pieces = np.array([piece.values for piece in found], dtype=np.float64)
        nearest, values = of_pieces.argmax(axis=0), of_pieces.max(axis=0)
        text = "\n".join(pieces)
        lowered = text.lower()
        keywords = [(column, keyword) for column, keyword in self._keywords if keyword.is_in(text, lowered)]
        reasons: dict[int, list[str]] = {}
        for column, keyword in keywords:
            values[column] += _bonus(keyword.text)
            reasons.setdefault(column, []).append(f'keyword "{keyword.text}"')
        general = np.array([is_general(piece) for piece in pieces]) | (wish(query) != query)
        values = np.where(general[nearest], np.minimum(values, _PENALTY * values), values) + self._added
        uses = {} if self.learned is None else self.learned.uses(query)
        for column in [column for column, name in enumerate(self._names) if name in uses]:
            use = uses[self._names[column]]
            values[column] += _LEARNED * use.value
            reasons.setdefault(column, []).append(use.reason)
        values[self._always] = -np.inf
        return _Compared(values, reasons, frozenset(column for column, _ in keywords), found, nearest)

    def _scores(self, shown: Mapping[int, "_Compared"], whole: "_Compared") -> list[Score]:
        """Return the score of every server for the whole query or for what it is shown for, the best first."""
        values = whole.values.copy()
        for column, found in shown.items():
            values[column] = found.values[column]
        of_columns = (1 / (1 + np.exp(np.minimum(_STEEPNESS * (THRESHOLD - values), 700)))).round(3).tolist()
        scores = [self._score(column, score, shown.get(column, whole)) for column, score in enumerate(of_columns)]
        return sorted(scores, key=lambda score: (-score.score, score.server))

    def _score(self, column: int, score: float, found: "_Compared") -> Score:
        if self._always[column]:
            return Score(self._names[column], 1.0, ALWAYS, sure=True)
        reasons = found.reasons.get(column, [])
        if score >= _LEAST_EXPLAINED:
            reasons = reasons + self._like_it(column, found.pieces[found.nearest[column]])
        return Score(self._names[column], score, tuple(reasons), sure=column in found.sure)

    def _like_it(self, column: int, piece: "_Piece") -> list[str]:
        """Return the words that count most for a server, and the text of it that the query is most like."""
        shares = {word: float(of_servers[column]) for word, of_servers in piece.words.items()}
        strong = sorted(
            (word for word in shares if shares[word] >= _LEAST_WORD), key=lambda word: (-shares[word], word)
        )
        rows = self._like[column]
        nearest = int(rows[piece.likeness[rows].argmax()])
        like = [f'like "{self._texts[nearest]}"'] if piece.likeness[nearest] >= _LEAST_LIKE else []
        return [f'word "{word}"' for word in strong[:_REASONS]] + like


@dataclass(frozen=True)
class _Piece:
    """A piece of a query: its value for each server, and what it comes from."""

    values: Matrix
    likeness: Matrix
    parts: list[tuple[Vector, Matrix]]  # with what the features of the vector add to the values
    starts: Numbers  # the first column of each server

    @cached_property
    def words(self) -> dict[str, Matrix]:
        """What each word adds to the value for each server."""
        by_word: dict[str, Matrix] = {}
        for vector, by_feature in self.parts:
            for word, place, value in vector.words:
                by_word[word] = by_word.get(word, 0) + value * by_feature[place]
        return {word: np.maximum.reduceat(values, self.starts) for word, values in by_word.items()}


class _Compared(NamedTuple):
    """A query or a clause: its value for each server, those with a keyword, and what explains the values."""

    values: Numbers
    reasons: dict[int, list[str]]
    sure: frozenset[int]
    pieces: Sequence[_Piece]
    nearest: Numbers  # the piece with the best value for each server


def _pieces(query: str) -> list[str]:
    """Return what is compared of a query: what it wants, or the beginning and the end of a long text."""
    wanted = wish(query)
    return [wanted] if len(wanted) <= _LONGEST else [_cut(query[:_END], 0), _cut(query[-_END:], 1)]


def _of_kinds(servers: Servers, tools: Mapping[str, Tools]) -> tuple[Matrix, list[int]]:
    """Return a row for each kind and columns for each server with 1 for one of its kinds each, and their numbers.

    A server of no kind has a column of zeros.
    """
    rows = {kind.name: row for row, kind in enumerate(kinds.catalog())}
    columns, counts = [], []
    for name, server in servers.items():
        description = f"{server.routing.description} {' '.join(server.routing.keywords)}"
        found = [rows[kind.name] for kind in kinds.of(name, description, tools.get(name, ()))] or [-1]
        columns += [[row == of for row in range(len(rows))] for of in found]
        counts.append(len(found))
    return np.array(columns, dtype=np.float32).T, counts


def _wanted(servers: Servers, tools: Mapping[str, Tools]) -> dict[str, set[int]]:
    """Return the own texts of the servers, each with the columns of the servers that have it."""
    wanted: dict[str, set[int]] = {}
    for column, (name, server) in enumerate(servers.items()):
        called = plain_words(name)
        own = [*server.routing.examples, f"{called} {server.routing.description}".strip()]
        # A name alone would be like every short query.
        for text in own + [tool.description or f"{called} {tool.words}" for tool in tools.get(name, ())]:
            wanted.setdefault(text, set()).add(column)
    return wanted


def _cut(piece: str, end: int) -> str:
    """Return a piece without the part of a word at the end where it was cut: 0 for its last word, 1 for its first."""
    head, _, tail = piece.rpartition(" ") if end == 0 else piece.partition(" ")
    return (head, tail)[end] or piece


def _bonus(keyword: str) -> float:
    return _PHRASE if " " in keyword or "*" in keyword else _WORD
