"""Choose the MCP servers of a query by the meaning of their tools, descriptions and examples, with reasons.

What people ask of the kinds of servers is known from a model that was fitted beforehand. What the own texts of the
servers add to it is fitted when the process starts: a kernel over embeddings and features, by ridge regression.
docs/mcp.md has the measurements behind this choice.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from shared.mcp import kinds
from shared.mcp.clauses import clauses
from shared.mcp.config import Servers
from shared.mcp.encoder import Matrix, embed, release
from shared.mcp.features import features, is_general
from shared.mcp.fitted import FEATURES, GENERAL, alike, fitted
from shared.mcp.keywords import Keyword
from shared.mcp.pasted import wish
from shared.mcp.scores import ALWAYS, Score
from shared.mcp.tools import Tools, plain_words, valid
from shared.mcp.vectors import Vectors

if TYPE_CHECKING:
    from shared.mcp.learned import Learned

# The value from which the best server is chosen, and that of others. Fitted to labeled queries, for recall first: a
# missing server costs an answer, a needless one some hundred milliseconds.
THRESHOLD, SECOND = 0.04, 0.08
# The more servers, the more of them have a high value by chance. The share of the best that another needs, and a value
# that is enough without it, are the first of these for up to twelve servers, the second for twenty or more.
_NUMBERS, SHARE, ENOUGH = (12, 20), (0.7, 0.78), (0.2, 0.28)
# Below so many, a value counts more for each time that their number halves, but not for fewer than two.
_MANY, _OF_HALF, _FEWEST = 12, 0.015, 2
# The value for one clause of a query from which a server is chosen too, and its least share of the best for all of it.
OF_CLAUSE, CLAUSE_SHARE = 0.2, 0.3
_OF_EXAMPLES = 0.02  # what examples add to the value of a server for queries that do not need it
_STEEPNESS = 24.0  # of the score, which is one half at the threshold
_PENALTY = 0.3  # of a query that asks for an explanation
_RIDGE = 2.0
_ANCHORS = 1000  # texts of the model that keep the own texts of servers from adding to what is unlike them
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
        self._routing = {name: server.routing for name, server in servers.items()}
        number = max(sum(not one.always for one in self._routing.values()), _FEWEST)
        self._of_number = _OF_HALF * max(0.0, math.log2(_MANY / number))
        self._share = float(np.interp(number, _NUMBERS, SHARE))
        self._enough = float(np.interp(number, _NUMBERS, ENOUGH))
        self._keywords = {name: [Keyword(text) for text in one.keywords] for name, one in self._routing.items()}
        model = fitted()
        of_kinds, wanted = _of_kinds(servers, tools or {}), _wanted(servers, tools or {})
        own = [*wanted]
        self._texts = [*model.texts, *own]
        # The texts of each server and of its kinds, of which a reason names one. A text of no kind has the last row.
        of_texts = np.vstack([of_kinds, np.zeros(len(servers))])[model.kinds]
        is_like = np.concatenate([of_texts, np.zeros((len(own), len(servers)))])
        for row, of in enumerate(wanted.values(), len(model.texts)):
            is_like[row, list(of)] = 1
        self._like = [np.flatnonzero(column) for column in is_like.T]
        embeddings = embed(own)
        vectors = [model.vocabulary.of(features(text)) for text in own]
        # Some texts of the model are in the equations too: nothing is added to their values. A server of no kind has a
        # value for queries that need no server.
        has_kind = of_kinds.any(axis=0)
        added: Matrix = np.zeros((_ANCHORS + len(own), len(servers)), dtype=np.float32)
        added[np.ix_(model.kinds[:_ANCHORS] < 0, ~has_kind)] = GENERAL
        added[_ANCHORS:] = -model.values(alike(embeddings, model.embeddings), vectors) @ of_kinds
        for row, of in enumerate(wanted.values(), _ANCHORS):
            added[row, list(of)] += np.where(has_kind, 1, _ALONE)[list(of)]
        near = np.concatenate([model.embeddings[:_ANCHORS], embeddings])
        kernel = alike(near, near)
        self._vectors = Vectors(own)
        self._vectors.add_products(kernel[_ANCHORS:, _ANCHORS:], FEATURES)
        examples = {example for one in self._routing.values() for example in one.examples}
        weights = [1] * _ANCHORS + [_EXAMPLE if text in examples else 1 for text in own]
        kernel[np.diag_indices(len(kernel))] += _RIDGE / np.array(weights, dtype=np.float32)
        added = np.linalg.solve(kernel, added)
        # The model's are shared by all routers of the process.
        self._embeddings = model.embeddings, embeddings
        self._by_text = np.concatenate([model.by_text @ of_kinds, added[_ANCHORS:]])
        self._by_text[:_ANCHORS] += added[:_ANCHORS]
        self._by_feature = model.by_feature @ (model.scales[:, None] * of_kinds)
        self._by_own_feature = self._vectors.by_column(FEATURES * added[_ANCHORS:])
        del kernel
        release()

    def choose(self, query: str) -> tuple[list[str], list[Score]]:
        """Return the names of the chosen servers, and the scores of all servers, the best first."""
        query = valid(query)
        scores, values = self._scored(query)
        best = max((values[score.server] for score in scores if score.reasons != ALWAYS), default=0.0)
        least = min(max(SECOND, min(self._share * best, self._enough)), max(THRESHOLD, best))
        chosen = {score.server for score in scores if score.reasons == ALWAYS or values[score.server] >= least}
        if best >= THRESHOLD and len(query) <= _LONGEST:
            for score in map(self._best, clauses(wish(query))):
                if score and score.server not in chosen and values[score.server] >= CLAUSE_SHARE * best:
                    chosen.add(score.server)
                    scores = [score if one.server == score.server else one for one in scores]
        scores.sort(key=_order)
        return [score.server for score in scores if score.server in chosen], scores

    def scores(self, query: str) -> list[Score]:
        """Return the score of every server, the best first."""
        return self._scored(valid(query))[0]

    def _best(self, clause: str) -> Score | None:
        """Return the score of the best server for a clause, if its value is high enough."""
        scores, values = self._scored(clause)
        best = next((score for score in scores if score.reasons != ALWAYS), None)
        return best if best and values[best.server] >= OF_CLAUSE else None

    def _scored(self, query: str) -> tuple[list[Score], dict[str, float]]:
        wanted = wish(query)
        pieces = [wanted] if len(wanted) <= _LONGEST else [_cut(query[:_END], 0), _cut(query[-_END:], 1)]
        embeddings = embed(pieces)
        likeness = np.concatenate([alike(embeddings, some) for some in self._embeddings], axis=1)
        values = likeness @ self._by_text
        words, general = [], []
        for number, piece in enumerate(pieces):
            found = features(piece)
            by_word: dict[str, Matrix] = {}
            for vocabulary, by_feature in (
                (fitted().vocabulary, self._by_feature), (self._vectors.vocabulary, self._by_own_feature),
            ):  # fmt: skip
                vector = vocabulary.of(found)
                values[number] += vector.values @ by_feature[vector.columns]
                for word, place, value in vector.words:
                    by_word[word] = by_word.get(word, 0) + value * by_feature[place]
            words.append(by_word)
            general.append(is_general(piece) or wanted != query)
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
            if general[place]:
                total[name] = min(total[name], _PENALTY * total[name])
            total[name] += self._of_number - (_OF_EXAMPLES if self._routing[name].examples else 0)
            use = uses.get(name)
            total[name] += _LEARNED * use.value if use else 0
            if self._routing[name].always:
                scores.append(Score(name, 1.0, ALWAYS, sure=True))
                continue
            score = 1 / (1 + math.exp(min(_STEEPNESS * (THRESHOLD - total[name]), 700)))
            reasons = [f'keyword "{keyword.text}"' for keyword in keywords]
            reasons += [use.reason] if use else []
            if score >= _LEAST_EXPLAINED:
                reasons += self._reasons(column, words[place], likeness[place])
            scores.append(Score(name, round(score, 3), tuple(reasons), sure=bool(keywords)))
        return sorted(scores, key=_order), total

    def _reasons(self, column: int, words: Mapping[str, Matrix], likeness: Matrix) -> list[str]:
        """Return the words that count most for a server, and the text of it that the query is most like."""
        shares = {word: float(of_servers[column]) for word, of_servers in words.items()}
        strong = sorted(
            (word for word in shares if shares[word] >= _LEAST_WORD), key=lambda word: (-shares[word], word)
        )
        rows = self._like[column]
        nearest = int(rows[likeness[rows].argmax()])
        like = [f'like "{self._texts[nearest]}"'] if likeness[nearest] >= _LEAST_LIKE else []
        return [f'word "{word}"' for word in strong[:_REASONS]] + like


def _order(score: Score) -> tuple[float, str]:
    return -score.score, score.server


def _of_kinds(servers: Servers, tools: Mapping[str, Tools]) -> Matrix:
    """Return a row for each kind and a column for each server: 1 where the server is of the kind."""
    rows = {kind.name: row for row, kind in enumerate(kinds.catalog())}
    of: Matrix = np.zeros((len(rows), len(servers)), dtype=np.float32)
    for column, (name, server) in enumerate(servers.items()):
        description = f"{server.routing.description} {' '.join(server.routing.keywords)}"
        for kind in kinds.of(name, description, tools.get(name, ())):
            of[rows[kind.name], column] = 1
    return of


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
