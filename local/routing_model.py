"""Fit the MCP router's model to the catalog of queries: `python -m local.routing_model`.

Reads `local/routing_catalog` and writes `shared/mcp/kinds.txt` and `shared/mcp/fitted.npz`. Takes about eight minutes
and 15 GB of memory. The catalog has a kind in a block: `# name`, `+ signs` (words in the names and tools of its
servers), and a query a line, or words after `~`; `general.txt` has queries that need no server.

The model is a ridge regression over the likeness of a query's embedding to those of all texts, and over its features.
Of the likeness to all texts, what follows from the likeness to some of them is kept.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared.mcp import fitted, kinds
from shared.mcp.encoder import embed
from shared.mcp.features import words_of
from shared.mcp.quantized import Matrix, Quantized, quantized
from shared.mcp.spelling import LEAST, SHORTEST, hashes, words_in
from shared.mcp.vectors import Vectors

Array = np.ndarray[Any, Any]
CATALOG = Path(__file__).with_name("routing_catalog")
_RIDGE = 0.5
_KEPT_TEXTS = 5000
# Features that fewer texts have are left out of the model, and rarer words out of the list of words.
_LEAST_TEXTS, _LEAST_QUERIES = 3, 2


@dataclass(frozen=True)
class Kind:
    """A kind of the catalog."""

    name: str
    signs: str
    queries: tuple[str, ...]


def read() -> tuple[list[Kind], list[str]]:
    """Return the kinds of the catalog, and the queries that need no server."""
    found = []
    for block in (CATALOG / "kinds.txt").read_text(encoding="utf-8").split("# ")[1:]:
        name, signs, *lines = block.splitlines()
        queries = dict.fromkeys(line.removeprefix("~ ") for line in lines if line)
        found.append(Kind(name, signs.removeprefix("+ "), tuple(queries)))
    of_kinds = {query for kind in found for query in kind.queries}
    general = dict.fromkeys((CATALOG / "general.txt").read_text(encoding="utf-8").splitlines())
    return found, [query for query in general if query not in of_kinds]


def digest() -> str:
    """Return a digest of the catalog, by which a test finds a model that is older."""
    text = b"".join((CATALOG / name).read_bytes() for name in ("kinds.txt", "general.txt"))
    return hashlib.sha256(text).hexdigest()


def words(catalog: list[Kind], general: list[str]) -> str:
    """Return the contents of `kinds.txt`."""
    of_each = {kind.name: (sorted(set(words_of(kind.signs))), kind.queries) for kind in catalog}
    of_each[kinds.GENERAL] = ([], tuple(general))
    counts = {name: Counter(w for q in queries for w in set(words_of(q))) for name, (_, queries) in of_each.items()}
    everywhere = sum(counts.values(), Counter[str]())
    lines = []
    for name, (signs, queries) in of_each.items():
        kept = sorted(word for word in counts[name] if everywhere[word] >= _LEAST_QUERIES)
        pairs = " ".join(f"{word}:{counts[name][word]}".removesuffix(":1") for word in kept)
        lines += [name, " ".join(signs), str(len(queries)), pairs]
    return "".join(f"{line}\n" for line in lines)


def fit(catalog: list[Kind], general: list[str]) -> dict[str, Array]:
    """Return the arrays of the model."""
    texts = [*dict.fromkeys(query for kind in catalog for query in kind.queries), *general]
    rows = {text: row for row, text in enumerate(texts)}
    labels: Matrix = np.zeros((len(texts), len(catalog)), dtype=np.float32)
    of = np.full(len(texts), -1, dtype=np.int16)
    for column, kind in enumerate(catalog):
        of_kind = [rows[query] for query in kind.queries]
        labels[of_kind, column], of[of_kind] = 1, column
    labels[len(texts) - len(general) :] = fitted.GENERAL
    embeddings, vectors = embed(texts), Vectors(texts)
    kernel = fitted.alike(embeddings @ embeddings.T)
    vectors.add_products(kernel, fitted.FEATURES)
    kernel[np.diag_indices(len(texts))] += _RIDGE
    by_text = np.linalg.solve(kernel, labels)
    del kernel
    by_feature = vectors.by_column(fitted.FEATURES * by_text)
    kept = np.random.default_rng(0).permutation(len(texts))[:_KEPT_TEXTS]
    rows_kept, lengths = quantized(embeddings[kept])
    some = fitted.alike(Quantized(rows_kept, lengths).products(embeddings)).astype(np.float64)
    products = some.T @ some
    products[np.diag_indices(len(kept))] += 1e-6 * len(texts)
    # In parts, because the likeness of all to all is gigabytes.
    parts = np.array_split(embeddings, 50)
    values = np.concatenate([fitted.alike(part @ embeddings.T) @ by_text for part in parts])
    by_kept = np.linalg.solve(products, some.T @ values)
    common = [row for row, count in enumerate(vectors.counts) if count >= _LEAST_TEXTS]
    order = sorted(common, key=lambda row: vectors.known[row])
    scales = np.abs(by_feature[order]).max(axis=0) / 127
    return spelling(texts) | {
        "digest": np.frombuffer(digest().encode(), dtype=np.uint8),
        "texts": _bytes(texts[row] for row in kept),
        "kinds": of[kept],
        "embeddings": rows_kept,
        "lengths": lengths,
        "by_text": by_kept.astype(np.float16),
        "features": _bytes("\t".join(vectors.known[row]) for row in order),
        "weights": vectors.weights[order].astype(np.float16),
        "by_feature": np.round(by_feature[order] / scales).astype(np.int8),
        "scales": scales.astype(np.float32),
    }


def spelling(texts: list[str]) -> dict[str, Array]:
    """Return what typing errors are corrected by: all words of the catalog, and how many texts have the common ones."""
    counts = Counter(word for text in texts for word in words_in(text))
    common = sorted(word for word, count in counts.items() if count >= LEAST and len(word) >= SHORTEST)
    return {
        "words": _bytes(common),
        "word_counts": np.array([counts[word] for word in common], dtype=np.uint16),
        "known_words": hashes(counts),
    }


def _bytes(lines: Iterable[str]) -> Array:
    return np.frombuffer("\n".join(lines).encode(), dtype=np.uint8)


def main() -> None:
    """Write both files."""
    catalog, general = read()
    kinds.FILE.write_text(words(catalog, general), encoding="utf-8")
    np.savez_compressed(fitted.FILE, allow_pickle=False, **fit(catalog, general))


if __name__ == "__main__":
    main()
