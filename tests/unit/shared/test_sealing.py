"""Sealing: only the private key opens, and only as the credential that was sealed."""

import dataclasses

import pytest

from shared.sealing import Credential, NotOpenedError, key_id, new_pair, open_sealed, public_of, seal

PUBLIC, PRIVATE = new_pair()
CREDENTIAL = Credential("caller", "mine", "git", ("git.example.com",), "a-secret-value")
SEALED = seal(CREDENTIAL, PUBLIC)


def test_the_private_key_opens_what_the_public_key_sealed():
    expected = dataclasses.replace(CREDENTIAL, value="")
    assert open_sealed(SEALED, [PRIVATE], expected) == CREDENTIAL
    assert public_of(PRIVATE) == PUBLIC
    assert CREDENTIAL.value not in SEALED
    assert seal(CREDENTIAL, PUBLIC) != SEALED, "the same value twice looks the same"


def test_every_key_of_a_rotation_opens():
    new_public, new_private = new_pair()
    for sealed in (SEALED, seal(CREDENTIAL, new_public)):
        assert open_sealed(sealed, [new_private, PRIVATE], CREDENTIAL).value == "a-secret-value"
    assert key_id(new_public) != key_id(PUBLIC)


@pytest.mark.parametrize(
    "change",
    [{"caller": "another"}, {"name": "another"}, {"kind": "header"}, {"hosts": ()}, {"hosts": ("evil.example",)}],
    ids=lambda change: next(iter(change)),
)
def test_a_sealed_value_does_not_open_as_another_credential(change):
    """Catches a value that is copied to another caller, or sent to another host, by an edit of the store."""
    with pytest.raises(NotOpenedError, match="sealed as another"):
        open_sealed(SEALED, [PRIVATE], dataclasses.replace(CREDENTIAL, **change))


@pytest.mark.parametrize(
    ("sealed", "privates", "reason"),
    [
        (SEALED, [], "CREDENTIALS_PRIVATE_KEY is not set"),
        (SEALED, [new_pair()[1]], "no key"),
        ("", [PRIVATE], "no key"),
        ("AAAA", [PRIVATE], "no key"),
        ("not base64", [PRIVATE], "no key"),
        (SEALED[:-8] + "AAAAAAA=", [PRIVATE], "no key"),
    ],
    ids=["no key", "another key", "empty", "short", "not base64", "changed"],
)
def test_what_cannot_be_opened_says_why_without_a_secret(sealed, privates, reason):
    with pytest.raises(NotOpenedError, match=reason) as caught:
        open_sealed(sealed, privates, CREDENTIAL)
    assert not any(private in str(caught.value) for private in privates)


def test_the_representation_of_a_credential_hides_its_value():
    assert "a-secret-value" not in repr(CREDENTIAL)


@pytest.mark.parametrize(
    ("hosts", "host", "may"),
    [
        ((), "anything.example", True),
        (("git.example.com",), "git.example.com", True),
        (("git.example.com",), "GIT.Example.com.", True),
        (("git.example.com",), "evil-git.example.com", False),
        (("git.example.com",), "git.example.com.evil.example", False),
        (("*.example.com",), "git.example.com", True),
        (("*.example.com",), "example.com", False),
        (("*.example.com",), "evilexample.com", False),
    ],
)
def test_a_credential_goes_to_its_hosts_only(hosts, host, may):
    assert Credential("c", "n", "git", hosts, "v").may_go_to(host) is may
