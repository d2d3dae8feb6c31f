"""Matrices of bytes, whose products with vectors are of bytes too: a vector is rounded to 255 steps of its own.

That is how the encoder's original computes, and reads and multiplies a quarter of what numbers of four bytes need.
"""

from typing import Any

import numkong
import numpy as np

Matrix = np.ndarray[Any, np.dtype[np.float32]]
Bytes = np.ndarray[Any, np.dtype[np.int8]]
_LARGEST = 127


class Quantized:
    """A matrix whose rows are bytes with a scale each."""

    # Lets `vectors @ matrix` call `__rmatmul__`.
    __array_ufunc__ = None

    def __init__(self, rows: Bytes, scales: Matrix) -> None:
        self._rows, self._scales = numkong.dots_pack(rows, dtype="int8"), scales

    def products(self, vectors: Matrix) -> Matrix:
        """Return the products of each vector with each row of this matrix."""
        steps, scales = quantized(vectors)
        products: Matrix = np.asarray(numkong.dots_packed(steps, self._rows)).astype(np.float32)
        products *= scales[:, None]
        products *= self._scales
        return products


class Weights(Quantized):
    """Stands for a matrix of weights on the right of a product, whose columns are the rows here."""

    def __init__(self, weights: Matrix, parts: int = 1) -> None:
        """Take weights that were bytes before: 127 stands for the largest of each of the parts, side by side."""
        columns = np.ascontiguousarray(weights.T)
        scales = np.repeat([_scales(np.abs(part).max()) for part in np.split(columns, parts)], len(columns) // parts)
        super().__init__(np.rint(columns / scales[:, None]).astype(np.int8), scales)

    def __rmatmul__(self, vectors: Matrix) -> Matrix:
        return self.products(vectors)


def quantized(vectors: Matrix) -> tuple[Bytes, Matrix]:
    """Return the vectors as bytes, and what 1 in each stands for."""
    scales = _scales(np.abs(vectors).max(axis=1, initial=0))
    return np.rint(vectors / scales[:, None]).astype(np.int8), scales


def _scales(largest: Matrix) -> Matrix:
    # Zeros stay zeros.
    scales: Matrix = np.where(largest > 0, largest / _LARGEST, 1).astype(np.float32)
    return scales
