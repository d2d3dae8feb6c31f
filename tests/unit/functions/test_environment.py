import os
from pathlib import Path

import pytest

from functions.worker.cli.environment import (
    allowed,
    check_credential,
    for_relay,
    for_run,
    has_credentials,
    is_credential,
    take_credential,
    with_dotenv,
)
from shared.configuration.settings import SettingsError


def test_the_gateways_own_settings_do_not_reach_the_cli():
    own = {
        "REDIS_URL": "redis://:secret@host", "REDIS_PASSWORD": "x", "WEBHOOK_SECRET": "x", "ADMIN_PASSWORD": "x",
        "HOME": "/root", "LD_PRELOAD": "/x.so", "PYTHONPATH": "/x", "SSH_AUTH_SOCK": "/x",
    }  # fmt: skip
    assert allowed(own) == {}


def test_what_the_cli_needs_reaches_it_unchanged():
    needed = {
        "PATH": "/bin", "LANG": "C.UTF-8", "LC_ALL": "C", "HTTPS_PROXY": "http://proxy", "NODE_EXTRA_CA_CERTS": "/ca",
        "ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://x", "CLAUDE_CODE_OAUTH_TOKEN": "t",
    }  # fmt: skip
    assert {name: value for name, value in allowed(needed).items() if name.upper() != "NO_PROXY"} == needed


@pytest.mark.parametrize(("given", "excluded"), [
    ({"HTTP_PROXY": "http://proxy"}, "127.0.0.1,localhost,::1"),
    ({"https_proxy": "http://proxy", "NO_PROXY": "corp"}, "corp,127.0.0.1,localhost,::1"),
    ({"NO_PROXY": "corp"}, "corp"),
])  # fmt: skip
def test_a_proxy_is_not_used_for_loopback(given, excluded):
    assert allowed(given)["NO_PROXY"] == excluded


def test_cloud_credentials_reach_the_cli_only_when_it_uses_that_cloud():
    role = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"}
    assert allowed(role) == {}
    assert allowed({**role, "CLAUDE_CODE_USE_BEDROCK": "1"}) == {**role, "CLAUDE_CODE_USE_BEDROCK": "1"}


@pytest.mark.parametrize(
    "name", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_USE_VERTEX"]
)
def test_any_way_to_claude_counts_as_credentials(name):
    assert has_credentials({name: "x"})
    assert not has_credentials({name: ""})


def test_the_environment_wins_over_credentials_of_a_dotenv_file(tmp_path: Path):
    (tmp_path / ".env").write_text("ANTHROPIC_API_KEY=file\nANTHROPIC_BASE_URL=http://file\nREDIS_PASSWORD=x\n")
    merged = with_dotenv({"ANTHROPIC_API_KEY": "environment"}, tmp_path / ".env")
    assert merged == {"ANTHROPIC_API_KEY": "environment", "ANTHROPIC_BASE_URL": "http://file"}


def test_quotes_around_a_credential_are_removed_and_an_empty_one_is_unset(tmp_path: Path):
    (tmp_path / ".env").write_text("CLAUDE_CODE_OAUTH_TOKEN=of-the-file\n")
    given = {"ANTHROPIC_API_KEY": '"key"\r', "CLAUDE_CODE_OAUTH_TOKEN": "", "OTHER": '"kept"'}
    merged = with_dotenv(given, tmp_path / ".env")
    assert merged == {"ANTHROPIC_API_KEY": "key", "CLAUDE_CODE_OAUTH_TOKEN": "of-the-file", "OTHER": '"kept"'}


@pytest.mark.parametrize("content", [b"", b" \n", b"two\nlines", b"\xff", "key".encode("utf-16")])
def test_a_file_that_holds_no_credential_is_refused(tmp_path: Path, content):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(SettingsError, match=r"^ANTHROPIC_API_KEY_FILE: the file that it names") as caught:
        with_dotenv({"ANTHROPIC_API_KEY_FILE": str(tmp_path / "key")}, tmp_path / ".env")
    assert str(tmp_path) not in str(caught.value)


def test_a_credential_can_be_read_from_a_file(tmp_path: Path):
    (tmp_path / "token").write_text("from-a-file\n")
    given = {"CLAUDE_CODE_OAUTH_TOKEN_FILE": str(tmp_path / "token"), "CLAUDE_CODE_OAUTH_TOKEN": ""}
    assert with_dotenv(given, tmp_path / ".env")["CLAUDE_CODE_OAUTH_TOKEN"] == "from-a-file"
    assert allowed(with_dotenv(given, tmp_path / ".env")) == {"CLAUDE_CODE_OAUTH_TOKEN": "from-a-file"}
    with pytest.raises(SettingsError, match="ANTHROPIC_API_KEY_FILE: the file that it names cannot be read"):
        with_dotenv({"ANTHROPIC_API_KEY_FILE": str(tmp_path / "missing")}, tmp_path / ".env")


def test_a_run_has_its_own_directories(tmp_path: Path):
    environment = for_run(tmp_path / "home", tmp_path / "config")
    assert environment["HOME"] == str(tmp_path / "home")
    assert environment["CLAUDE_CONFIG_DIR"] == str(tmp_path / "config")
    assert "CLAUDE_CODE_MAX_RETRIES" not in environment, "a cloud provider's CLI retries by itself"


def test_a_relayed_run_has_a_placeholder_and_leaves_retries_to_the_relay(monkeypatch):
    for name in [name for name in os.environ if is_credential(name)]:
        monkeypatch.delenv(name)
    given = {
        "ANTHROPIC_API_KEY": "secret", "CLAUDE_CODE_OAUTH_TOKEN": "secret", "ANTHROPIC_CUSTOM_HEADERS": "X: secret",
        "ANTHROPIC_BASE_URL": "https://host/secret", "ANTHROPIC_SMALL_FAST_MODEL": "small",
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    credential = take_credential()
    assert credential is not None
    assert "secret" not in repr(credential).replace("https://host/secret", "").replace("path='/secret'", "")
    assert {name for name in os.environ if is_credential(name)} == {"ANTHROPIC_SMALL_FAST_MODEL"}
    environment = for_relay("/run/relay", credential)
    assert environment["ANTHROPIC_UNIX_SOCKET"] == "/run/relay"
    assert environment["ANTHROPIC_API_KEY"] == "placeholder"
    assert environment["CLAUDE_CODE_MAX_RETRIES"] == "0"
    assert "secret" not in str(environment)


def test_a_cloud_provider_keeps_its_credentials(monkeypatch):
    monkeypatch.setenv("CLAUDE_CODE_USE_BEDROCK", "1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    assert take_credential() is None
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == "x"


@pytest.mark.parametrize(
    "url", ["ftp://x", "nonsense", "https://user:secret@host", "https://host:99999", "https://host/?a=b", "https://"]
)
def test_a_base_url_that_the_relay_cannot_use_stops_the_start_by_name(url):
    with pytest.raises(SettingsError, match="ANTHROPIC_BASE_URL") as raised:
        check_credential({"ANTHROPIC_BASE_URL": url})
    assert "secret" not in str(raised.value)
