"""The command line, whose groups are imported when they are asked for."""

import pytest
from typer.testing import CliRunner

from local.cli import app, default_url

run = CliRunner().invoke


def test_every_command_is_listed():
    shown = run(app, ["--help"]).output
    assert all(name in shown for name in ("local", "api", "worker", "ask", "keys", "webhooks"))


@pytest.mark.parametrize(("group", "command"), [("keys", "revoke"), ("webhooks", "redeliver")])
def test_a_group_lists_its_own(group, command):
    assert command in run(app, [group, "--help"]).output


def test_a_group_that_is_misspelt_is_suggested():
    failed = run(app, ["webhook"])
    assert failed.exit_code == 2
    assert "Did you mean 'webhooks'?" in failed.output


@pytest.mark.parametrize(
    ("environment", "written", "port"),
    [
        ({}, None, 3000),
        ({}, "PORT=3100\n", 3100),
        ({"PORT": "3200"}, "PORT=3100\n", 3200),
        ({"PORT": ""}, "PORT=3100\n", 3100),
        ({}, "HOST=127.0.0.1\n", 3000),
        ({"PORT": '"3100"'}, None, 3100),
    ],
)
def test_a_gateway_is_looked_for_where_this_machine_would_start_one(monkeypatch, tmp_path, environment, written, port):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PORT", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if written is not None:
        (tmp_path / ".env").write_text(written)
    assert default_url() == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("command", [["ask", "x"], ["webhooks", "list", "x"], ["webhooks", "redeliver", "x"]])
def test_what_asks_a_gateway_goes_by_port_unless_it_is_told_where(monkeypatch, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLAUDE_GATEWAY_URL", raising=False)
    monkeypatch.setenv("PORT", "1")
    assert "no gateway answers at http://127.0.0.1:1:" in run(app, command).output
    monkeypatch.setenv("CLAUDE_GATEWAY_URL", "http://127.0.0.1:2")
    assert "no gateway answers at http://127.0.0.1:2:" in run(app, command).output
