"""Matrices of bytes. A product with a few vectors takes as long as to read the matrix, which is a quarter as large."""

from typing import Any

import numpy as np

Matrix = np.ndarray[Any, np.dtype[np.float32]]
Bytes = np.ndarray[Any, np.dtype[np.int8]]
_BLOCK = 128 * 1024  # numbers that are converted at a time, which stay in the cache of a processor
# So many vectors are faster together than one after the other, and fastest in multiples of four. One that is left is
# faster by itself, and to two or three zeros are added.
_TOGETHER, _MULTIPLE = 8, 4


class Quantized:
    """A matrix whose rows are bytes with a scale each."""

    # Lets `vectors @ matrix` call `__rmatmul__`.
    __array_ufunc__ = None

    def __init__(self, rows: Bytes, scales: Matrix) -> None:
        self._rows, self._scales = np.ascontiguousarray(rows), scales

    def first(self, count: int) -> Matrix:
        """Return the first rows."""
        rows: Matrix = self._rows[:count] * self._scales[:count, None]
        return rows

    def products(self, vectors: Matrix) -> Matrix:
        """Return the products of each vector with each row of this matrix."""
        count, width = self._rows.shape
        number = len(vectors)
        left = number % _MULTIPLE if number >= _TOGETHER else 0
        if left > 1:
            vectors = np.concatenate([vectors, np.zeros((_MULTIPLE - left, width), dtype=np.float32)])
        products: Matrix = np.empty((len(vectors), count), dtype=np.float32)
        together = len(vectors) - len(vectors) % _MULTIPLE if number >= _TOGETHER else 0
        converted: Matrix = np.empty((max(1, _BLOCK // width), width), dtype=np.float32)
        for start in range(0, count, len(converted)):
            rows = self._rows[start : start + len(converted)]
            block = converted[: len(rows)]
            np.copyto(block, rows)
            of_block = products[:, start : start + len(rows)]
            np.matmul(vectors[:together], block.T, out=of_block[:together])
            for single in range(together, len(vectors)):
                np.dot(block, vectors[single], out=of_block[single])
        products *= self._scales
        return products[:number]


class Weights(Quantized):
    """Stands for a matrix of weights on the right of a product, whose columns are the rows here."""

    def __init__(self, weights: Matrix, parts: int = 1) -> None:
        """Take weights that were bytes before: 127 stands for the largest of each of the parts, side by side."""
        columns = np.ascontiguousarray(weights.T)
        scales = np.repeat([np.abs(part).max() / 127 for part in np.split(columns, parts)], len(columns) // parts)
        super().__init__(np.rint(columns / scales[:, None]).astype(np.int8), scales.astype(np.float32))

    def __rmatmul__(self, vectors: Matrix) -> Matrix:
        return self.products(vectors)
