"""The fit of the MCP router's model to the catalog of queries."""

import numpy as np
import pytest

from local import routing_model
from local.routing_model import Kind
from shared.mcp import fitted, kinds
from shared.mcp.encoder import embed
from shared.mcp.features import features

PETS = Kind("pets", "pet vet", ("feed the cat", "walk the dog", "call the vet", "buy food for the hamster"))
TIDES = Kind(
    "tides", "tide sea", ("when is high tide", "low water at noon", "is the ebb early", "tide table for the bay")
)
GENERAL = ["write a poem about love", "what is a prime number", "translate this to French"]


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Return the model of a small catalog, read back from its file."""
    monkeypatch.setattr(fitted, "FILE", tmp_path / "fitted.npz")
    monkeypatch.setattr(routing_model, "_LEAST_TEXTS", 1)
    np.savez_compressed(fitted.FILE, allow_pickle=False, **routing_model.fit([PETS, TIDES], GENERAL))
    fitted.fitted.cache_clear()
    yield fitted.fitted()
    fitted.fitted.cache_clear()


def test_the_model_in_the_tree_is_of_the_catalog_in_the_tree():
    """Catches a changed catalog without `python -m local.routing_model`."""
    with np.load(fitted.FILE) as file:
        assert file["digest"].tobytes().decode() == routing_model.digest()
    assert kinds.FILE.read_text(encoding="utf-8") == routing_model.words(*routing_model.read())


def test_no_query_of_the_catalog_is_of_the_labeled_sets():
    """Catches figures that are good because the router has seen the answers."""
    from tests.benchmarks.routing import SETS, labeled

    catalog, general = routing_model.read()
    known = {query.lower() for kind in catalog for query in kind.queries} | {query.lower() for query in general}
    for name in SETS:
        assert [query for _, query in labeled(f"{name}.tsv") if query.lower() in known] == []


def test_the_model_knows_the_kind_of_a_query(small):
    values = _values(small, ["my kitten needs its dinner", "how high is the water tonight", "compose a love poem"])
    assert values[0].argmax() == 0
    assert values[1].argmax() == 1
    assert (values[2] < 0).all()


def test_the_kept_texts_give_the_values_of_all(small):
    """Catches a projection, or a rounding, that changes what the regression found."""
    values = _values(small, [*PETS.queries, *TIDES.queries])
    assert (values[:4, 0] > values[:4, 1] + 0.3).all()
    assert (values[4:, 1] > values[4:, 0] + 0.3).all()


def _values(model, queries):
    vectors = [model.vocabulary.of(features(query)) for query in queries]
    return model.values(fitted.alike(model.embeddings.products(embed(queries))), vectors)
