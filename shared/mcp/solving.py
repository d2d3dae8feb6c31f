"""Solves a system of linear equations with a symmetric positive definite matrix in the memory of the matrix.

`numpy.linalg.solve` copies the matrix, which has 40 MB for the texts of the catalog, and takes twice as long.
"""

from itertools import pairwise

import numpy as np

from shared.mcp.encoder import Matrix

_BLOCK = 256


def solve(matrix: Matrix, right: Matrix) -> Matrix:
    """Return the solution for each column on the right, by Cholesky's method in blocks. Overwrites the matrix."""
    blocks = [slice(start, end) for start, end in pairwise([*range(0, len(matrix), _BLOCK), len(matrix)])]
    found = right.copy()
    inverses = []
    for place, block in enumerate(blocks):
        inverse = np.linalg.inv(np.linalg.cholesky(matrix[block, block]))
        inverses.append(inverse)
        found[block] = inverse @ found[block]
        below = slice(block.stop, None)
        matrix[below, block] = matrix[below, block] @ inverse.T
        found[below] -= matrix[below, block] @ found[block]
        for later in blocks[place + 1 :]:
            matrix[later.start :, later] -= matrix[later.start :, block] @ matrix[later, block].T
    for block, inverse in zip(reversed(blocks), reversed(inverses), strict=True):
        below = slice(block.stop, None)
        found[block] = inverse.T @ (found[block] - matrix[below, block].T @ found[below])
    return found
