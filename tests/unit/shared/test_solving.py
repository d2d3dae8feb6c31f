"""The solver of the router's equations."""

import numpy as np
import pytest

from shared.mcp.solving import solve


@pytest.mark.parametrize("size", [1, 255, 256, 257, 700])
def test_the_solution_is_that_of_numpy(size):
    """Catches a block that is left out at the end, and a triangle that is mistaken for the other."""
    random = np.random.default_rng(size)
    half = random.normal(size=(size, size)).astype(np.float32) / size**0.5
    matrix, right = half @ half.T + 0.5 * np.eye(size, dtype=np.float32), random.normal(size=(size, 3))
    expected = np.linalg.solve(matrix.astype(np.float64), right)
    assert np.allclose(solve(matrix, right.astype(np.float32)), expected, atol=1e-3)
