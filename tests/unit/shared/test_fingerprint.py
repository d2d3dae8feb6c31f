import pytest

from shared.api.fingerprint import canonical, digest, fingerprint


def test_the_order_of_keys_and_the_space_between_do_not_matter():
    assert canonical({"b": [1, {"d": 2, "c": 3}], "a": "ü"}) == '{"a":"ü","b":[1,{"c":3,"d":2}]}'.encode()


def test_a_fingerprint_is_a_sha_256_and_differs_for_each_caller():
    mine, theirs = fingerprint("ann", {"query": "x"}), fingerprint("bob", {"query": "x"})
    assert len(mine) == 64
    assert mine != theirs


@pytest.mark.parametrize("other", [{"query": "x "}, {"query": "X"}, {"query": "x", "context": {}}, {"query": ["x"]}])
def test_every_difference_changes_the_fingerprint(other):
    assert digest(other) != digest({"query": "x"})
