"""`ask` on a terminal asks about each call, with its input."""

import json

import httpx
import pytest

from local import deciding
from local.client import Client, CommandError
from local.deciding import TerminalDecider, decide_pending

CALL = {"id": "d1", "kind": "tool", "tool": "Bash", "input": {"command": "rm \u001b[2J\u009b2J\x7f \u202e"}}
QUESTION = {
    "id": "d2", "kind": "question", "tool": "AskUserQuestion",
    "input": {"questions": [{"question": "Which color?"}, {"question": "Which size?"}, "noise"]},
}  # fmt: skip


@pytest.fixture
def sent():
    return []


@pytest.fixture
def client(sent):
    def answer(request):
        if request.method == "GET":
            return httpx.Response(200, json={"state": "paused", "pending": CALL})
        sent.append((request.url.path, json.loads(request.content)))
        return httpx.Response(200, json={"state": "waiting"})

    with Client("http://127.0.0.1:1", None, httpx.MockTransport(answer)) as client:
        yield client


def decided(client, monkeypatch, call, *lines, terminal=True):
    monkeypatch.setattr(deciding, "is_terminal", lambda _: terminal)
    given = iter(lines)
    decider = TerminalDecider(client, "j1", lambda _prompt: next(given))
    assert decider.is_new(call)
    decider.decide(call)
    assert not decider.is_new(call)
    assert not decider.is_new(None)


@pytest.mark.parametrize(
    ("lines", "decision"),
    [
        (["what", "Y"], {"decision": "allow"}), (["n", ""], {"decision": "deny"}),
        (["no", "too late"], {"decision": "deny", "message": "too late"}),
    ],
)  # fmt: skip
def test_a_call_is_allowed_or_denied(client, sent, monkeypatch, capsys, lines, decision):
    decided(client, monkeypatch, CALL, *lines)
    assert sent == [("/api/query/j1/decisions/d1", decision)]
    shown = capsys.readouterr().err
    assert "rm" in shown
    assert not set("\u001b\u009b\x7f\u202e") & set(shown)
    assert r"rm \u001b[2J\u009b2J\u007f \u202e" in shown


def test_a_question_is_answered(client, sent, monkeypatch):
    decided(client, monkeypatch, QUESTION, "Blue", "")
    assert sent == [("/api/query/j1/decisions/d2", {"decision": "allow", "answers": {"Which color?": "Blue"}})]


def test_without_a_terminal_the_command_is_shown(client, sent, monkeypatch, capsys):
    decided(client, monkeypatch, CALL, terminal=False)
    assert sent == []
    assert "claude-gateway jobs decide j1 allow|deny" in capsys.readouterr().err


def test_the_end_of_the_input_is_no_decision(client, sent, monkeypatch):
    def ended(_prompt):
        raise EOFError

    monkeypatch.setattr(deciding, "is_terminal", lambda _: True)
    with pytest.raises(CommandError, match="standard input ended"):
        TerminalDecider(client, "j1", ended).decide(CALL)
    assert sent == []


def test_the_command_decides_what_the_job_waits_for(client, sent):
    decide_pending(client, "j1", "deny", "no")
    assert sent == [("/api/query/j1/decisions/d1", {"decision": "deny", "message": "no"})]


@pytest.mark.parametrize(
    "given", [{}, {"questions": 5}, {"questions": [5, {"question": 5}, {"options": []}]}, None, "text"]
)
def test_a_question_that_is_none_is_denied(client, sent, monkeypatch, given):
    """Catches a call of another form, which a tool of the run can forge, that ends the command with a trace."""
    decided(client, monkeypatch, {**QUESTION, "input": given})
    assert sent == [("/api/query/j1/decisions/d2", {"decision": "deny"})]
