"""The model of what people ask of each kind of server, fitted to the catalog beforehand (`fitted.npz`).

`python -m local.routing_model` writes the file. For a query and a kind the model's value is about 1 where the kind is
needed, 0 where another one is, and less where none is.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from shared.mcp.quantized import Bytes, Matrix, Quantized
from shared.mcp.spelling import Spelling
from shared.mcp.vectors import Numbers, Vector, Vocabulary

FILE = Path(__file__).with_name("fitted.npz")
# How fast the likeness of two texts falls with the angle between their embeddings.
_SHARPNESS = 3.0
# What a query that needs no server stands for, where one of a kind stands for 1.
GENERAL = -0.4
FEATURES = 0.4  # the weight of features compared with the embedding
# So many texts keep the own texts of servers from adding to what is unlike them.
ANCHORS = 1000


@dataclass(frozen=True)
class Fitted:
    """The model: weights of the likeness to some texts of the catalog, and of features, a column for each kind."""

    texts: tuple[str, ...]
    kinds: Numbers  # the kind of each text, -1 for a query that needs no server
    embeddings: Quantized
    first: tuple[Bytes, Matrix]  # the embeddings of the first texts as bytes, with what 1 in each stands for
    halves: np.ndarray[Any, np.dtype[np.float16]]  # of `by_text`, which only the start of a router needs
    vocabulary: Vocabulary
    by_feature: Bytes
    scales: Matrix  # what 1 in `by_feature` stands for in each column
    spelling: Spelling

    @property
    def anchors(self) -> Matrix:
        """The embeddings of the first texts."""
        rows, lengths = self.first
        anchors: Matrix = rows * lengths
        return anchors

    @property
    def by_text(self) -> Matrix:
        """What the likeness to each text weighs for each kind."""
        return self.halves.astype(np.float32)

    def values(self, likeness: Matrix, vectors: list[Vector]) -> Matrix:
        """Return a row for each query and a column for each kind."""
        values: Matrix = likeness @ self.by_text
        for row, vector in enumerate(vectors):
            values[row] += vector.values @ self.by_feature[vector.columns] * self.scales
        return values


@lru_cache(1)
def fitted() -> Fitted:
    """Read the model. Weights are kept as bytes with a scale for each kind, and halves."""
    with np.load(FILE, allow_pickle=False) as file:
        # The texts' characters are kept as bytes too, a line each.
        texts, known, words = (file[name].tobytes().decode().split("\n") for name in ("texts", "features", "words"))
        embeddings, lengths = file["embeddings"], file["lengths"]
        features = [(kind, text) for kind, _, text in (line.partition("\t") for line in known)]
        return Fitted(
            tuple(texts),
            file["kinds"],
            Quantized(embeddings, lengths),
            (embeddings[:ANCHORS].copy(), lengths[:ANCHORS, None]),
            file["by_text"],
            Vocabulary(features, file["weights"].astype(np.float32)),
            file["by_feature"],
            file["scales"],
            # Not strict: no words at all are one empty line.
            Spelling(dict(zip(words, file["word_counts"].tolist(), strict=False)), file["known_words"]),
        )


def alike(products: Matrix) -> Matrix:
    """Return how alike two texts are, for each product of their embeddings: 1 for the same. Changes the products."""
    products -= 1
    products *= _SHARPNESS
    return np.exp(products, out=products)
