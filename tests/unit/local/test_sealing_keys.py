"""The key pair of `claude-gateway local`: made once, kept private, and replaced by a given one."""

import pytest

from local import sealing_keys
from shared import sealing
from shared.configuration.settings import load

PUBLIC, PRIVATE = sealing.new_pair()


@pytest.fixture
def given(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def given(**variables):
        for name in ("CREDENTIALS_PUBLIC_KEY", "CREDENTIALS_PRIVATE_KEY"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        load.cache_clear()

    given()
    yield given
    load.cache_clear()


def test_a_pair_is_made_once(given, tmp_path):
    of_api, of_worker = sealing_keys.of_local(tmp_path / "a/b")
    assert of_api.keys() == {"CREDENTIALS_PUBLIC_KEY"}
    assert of_worker.keys() == {"CREDENTIALS_PRIVATE_KEY"}
    assert sealing.public_of(of_worker["CREDENTIALS_PRIVATE_KEY"]) == of_api["CREDENTIALS_PUBLIC_KEY"]
    assert sealing_keys.of_local(tmp_path / "a/b") == (of_api, of_worker)
    assert sealing_keys.of_local(tmp_path / "other") != (of_api, of_worker)


def test_a_given_private_key_determines_the_public_one(given, tmp_path):
    older = sealing.new_pair()[1]
    given(CREDENTIALS_PRIVATE_KEY=f"{PRIVATE} {older}")
    assert sealing_keys.of_local(tmp_path / "data") == ({"CREDENTIALS_PUBLIC_KEY": PUBLIC}, {})
    assert sealing_keys.private_keys(tmp_path) == [PRIVATE, older]
    assert not (tmp_path / "data").exists()


def test_a_given_public_key_needs_no_pair(given, tmp_path):
    """Catches a private key that opens nothing, made beside a public key whose private key is elsewhere."""
    given(CREDENTIALS_PUBLIC_KEY=PUBLIC)
    assert sealing_keys.of_local(tmp_path / "data") == ({}, {})
    assert not (tmp_path / "data").exists()


def test_a_link_in_the_place_of_the_key_is_not_followed(given, tmp_path):
    (tmp_path / "elsewhere").write_text(PRIVATE)
    (tmp_path / "credentials.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="regular file"):
        sealing_keys.of_local(tmp_path)
