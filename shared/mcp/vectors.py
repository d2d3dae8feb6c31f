"""The features of texts as sparse vectors of length one."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from shared.mcp.features import BEGINNING, PART, features
from shared.mcp.quantized import Matrix

Feature = tuple[str, str]
Numbers = np.ndarray[Any, np.dtype[np.int32]]
_WEIGHTS = {"": 1.0, PART: 0.35, BEGINNING: 0.5}
_UNKNOWN = 9.0  # the weight, squared, of a word that is in no text
_PART_OF_ROWS = 1000


class Vector(NamedTuple):
    """The columns of a vector that are not zero, their values, and its words, each with its column and value."""

    columns: Numbers
    values: Matrix
    words: tuple[tuple[str, int, float], ...]


class Vocabulary:
    """The features that vectors have, a column each, and their weights."""

    def __init__(self, known: Sequence[Feature], weights: Matrix) -> None:
        self._columns = {feature: column for column, feature in enumerate(known)}
        self._weights = weights

    def of(self, found: frozenset[Feature]) -> Vector:
        """Return the vector of a text with these features."""
        known = sorted((self._columns[one], one) for one in found if one in self._columns)
        unknown = sum(1 for one in found if not one[0] and one not in self._columns)
        columns = np.array([column for column, _ in known], dtype=np.int32)
        weights = self._weights[columns]
        values = weights / math.sqrt(float(weights @ weights) + _UNKNOWN * unknown + 1e-6)
        words = tuple(
            (one[1], column, float(value)) for (column, one), value in zip(known, values, strict=True) if not one[0]
        )
        return Vector(columns, values, words)


class Vectors:
    """Vectors of texts; the given texts define which features there are: all words, and what two of the texts share."""

    def __init__(self, texts: Sequence[str]) -> None:
        found = [features(text) for text in texts]
        counts = Counter(feature for one in found for feature in one)
        self.known = [feature for feature, count in counts.items() if count > 1 or not feature[0]]
        self.counts = np.array([counts[one] for one in self.known], dtype=np.int32)
        self.weights: Matrix = np.array(
            [_WEIGHTS[one[0]] * math.log((len(texts) + 1) / (counts[one] + 0.5)) for one in self.known],
            dtype=np.float32,
        )
        self.vocabulary = Vocabulary(self.known, self.weights)
        vectors = [self.vocabulary.of(one) for one in found]
        rows: Numbers = np.repeat(np.arange(len(texts), dtype=np.int32), [len(one.columns) for one in vectors])
        columns = np.concatenate([one.columns for one in vectors])
        order = columns.argsort(kind="stable")
        # The entries of all texts, by column.
        self._rows = rows[order]
        self._values = np.concatenate([one.values for one in vectors])[order]
        self._starts = np.searchsorted(columns[order], np.arange(len(self.known)))

    def add_products(self, kernel: Matrix, factor: float) -> None:
        """Add the products of all pairs of vectors to a matrix."""
        for rows, values in zip(
            np.split(self._rows, self._starts[1:]), np.split(self._values, self._starts[1:]), strict=True
        ):
            # In parts, because a common word's products are as many as the kernel's.
            for part in range(0, len(rows), _PART_OF_ROWS):
                some = slice(part, part + _PART_OF_ROWS)
                kernel[rows[some, None], rows] += factor * np.outer(values[some], values)

    def by_column(self, by_text: Matrix) -> Matrix:
        """Return the sum of the rows of a matrix that has one for each text, weighted by the values of a column."""
        sums: Matrix = np.add.reduceat(by_text[self._rows] * self._values[:, None], self._starts, axis=0)
        return sums
