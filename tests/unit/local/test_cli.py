"""The command line, whose groups are imported on use."""

import json
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from local.cli import app, default_url
from shared.version import VERSION

run = CliRunner().invoke


def test_every_command_is_listed():
    shown = run(app, ["--help"]).output
    assert all(name in shown for name in ("local", "api", "worker", "ask", "jobs", "keys", "webhooks"))


@pytest.mark.parametrize(("group", "command"), [("keys", "revoke"), ("webhooks", "redeliver"), ("jobs", "follow")])
def test_a_group_lists_its_commands(group, command):
    assert command in run(app, [group, "--help"]).output


def test_a_misspelled_group_gets_a_suggestion():
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
def test_the_default_address_is_that_of_a_local_gateway(monkeypatch, tmp_path, environment, written, port):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PORT", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if written is not None:
        (tmp_path / ".env").write_text(written)
    assert default_url() == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    "command",
    [["ask", "x"], ["jobs", "list"], ["jobs", "get", "x"], ["webhooks", "list", "x"], ["webhooks", "redeliver", "x"]],
)
def test_clients_use_port_unless_a_url_is_set(monkeypatch, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLAUDE_GATEWAY_URL", raising=False)
    monkeypatch.setenv("PORT", "1")
    assert "no gateway responds at http://127.0.0.1:1:" in run(app, command).output
    monkeypatch.setenv("CLAUDE_GATEWAY_URL", "http://127.0.0.1:2")
    assert "no gateway responds at http://127.0.0.1:2:" in run(app, command).output


def test_the_version_is_that_of_the_installed_package():
    shown = run(app, ["--version"])
    assert (shown.exit_code, shown.output) == (0, f"claude-gateway {metadata.version('claude-api-gateway')}\n")
    assert json.loads(Path("shared/http/openapi.json").read_text())["info"]["version"] == VERSION


@pytest.fixture
def sent(monkeypatch):
    """Collect the submissions of `ask` instead of sending them."""
    questions = []

    def ask(question, *_, **__):
        questions.append(question)
        return 0

    monkeypatch.setattr("local.ask.ask", ask)
    return questions


def test_the_options_of_ask_are_fields_of_the_submission(sent, tmp_path):
    (tmp_path / "schema.json").write_bytes(b'\xef\xbb\xbf{"type": "object"}')
    options = (
        "--model m --system-prompt s --priority high --mcp time --mcp fetch --tool Read --tool Bash --session s-1"
        " --allow-host a.example --allow-host *.b.example"
        f" --schema {tmp_path / 'schema.json'}"
    )
    assert run(app, ["ask", "q", *options.split()]).exit_code == 0
    assert sent[0].query == "q"
    assert sent[0].fields == {
        "model": "m",
        "systemPrompt": "s",
        "priority": "high",
        "mcpServers": ["time", "fetch"],
        "tools": ["Read", "Bash"],
        "network": {"allowedHosts": ["a.example", "*.b.example"]},
        "sessionId": "s-1",
        "outputSchema": {"type": "object"},
    }


@pytest.mark.parametrize(
    ("options", "fields"),
    [("", {}), ("--session new", {"session": True}), ("--no-mcp", {"mcpServers": []})],
)
def test_an_absent_option_sends_no_field(sent, options, fields):
    assert run(app, ["ask", "q", *options.split()]).exit_code == 0
    assert sent[0].fields == fields


@pytest.mark.parametrize("content", [None, b"{", b"[]", b"\xff"])
def test_a_schema_that_is_no_json_object_is_refused(sent, tmp_path, content):
    if content is not None:
        (tmp_path / "schema.json").write_bytes(content)
    failed = run(app, ["ask", "q", "--schema", str(tmp_path / "schema.json")])
    assert failed.exit_code == 2
    assert failed.output.startswith("--schema: ")
    assert sent == []


@pytest.mark.parametrize("options", [["--priority", "urgent"], ["--no-mcp", "--mcp", "time"]])
def test_options_out_of_range_are_refused(sent, options):
    assert run(app, ["ask", "q", *options]).exit_code == 2
    assert sent == []


def test_a_retry_without_the_admin_login_says_what_it_needs(monkeypatch):
    monkeypatch.delenv("ADMIN_PASSWORD", raising=False)
    failed = run(app, ["jobs", "retry", "x"])
    assert failed.exit_code == 2
    assert "ADMIN_PASSWORD is not set" in failed.output
