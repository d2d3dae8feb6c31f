import pytest

from shared.api.fingerprint import canonical, digest, shared_form


def test_the_order_of_keys_and_the_space_between_do_not_matter():
    assert canonical({"b": [1, {"d": 2, "c": 3}], "a": "ü"}) == '{"a":"ü","b":[1,{"c":3,"d":2}]}'.encode()


def test_a_digest_is_a_sha_256():
    assert len(digest({"query": "x"})) == 64


def test_each_caller_has_a_form_of_its_own():
    assert shared_form("ann", {"query": "x"}) != shared_form("bob", {"query": "x"})


@pytest.mark.parametrize("other", [{"query": "x "}, {"query": "X"}, {"query": "x", "context": {}}, {"query": ["x"]}])
def test_every_difference_changes_the_digest(other):
    assert digest(other) != digest({"query": "x"})
