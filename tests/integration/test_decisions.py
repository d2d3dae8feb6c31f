"""Calls that wait for a decision: a paused job holds no slot, and a later run makes the call as it was decided."""

import json

import pytest

from tests.support.parameters import first_of
from tests.support.scripted_model import Text, ToolUse

pytestmark = pytest.mark.once

ASK = {"tools": ["Bash"]}


@pytest.fixture(scope="module")
def variables():
    return {"CLAUDE_TOOLS": "Bash,Read,Write", "CLAUDE_MAX_RETRIES": "1"}


def bash(command):
    return ToolUse("Bash", {"command": command})


def results(model, number=-1):
    """Return the tool results of a request, in order."""
    found = []
    for message in model.requests[number].body["messages"]:
        if message["role"] == "user" and isinstance(message["content"], list):
            found += [block for block in message["content"] if block["type"] == "tool_result"]
    return found


def paused(gateway, job_id):
    return gateway.until(lambda: gateway.job(job_id), lambda job: job["state"] in {"paused", "failed", "completed"})


def ask(gateway, model, *replies, **fields):
    """Submit a job with approval, and return it as soon as it is paused."""
    model.script(*replies)
    fields = {"tools": ["Bash", "Read"], "approval": ASK, **fields}
    job_id = gateway.submit(f"job {json.dumps(fields)[:100]} {len(model.requests)}", **fields)
    job = paused(gateway, job_id)
    assert job["state"] == "paused", job
    return job


def decide(gateway, job, **decision):
    return gateway.client.post(f"/api/query/{job['jobId']}/decisions/{job['pending']['id']}", json=decision)


def after(gateway, job):
    """Return a job when it is paused for another call, or has ended."""
    before = job["pending"]["id"]
    return gateway.until(
        lambda: gateway.job(job["jobId"]),
        lambda now: now["finishedAt"] or (now["pending"] or {"id": before})["id"] != before,
    )


def test_an_allowed_call_is_made_by_a_later_run(gateway, model):
    job = ask(gateway, model, bash("echo one > a; echo two"), Text("done"))
    pending = job["pending"]
    assert (pending["kind"], pending["tool"], pending["input"]) == (
        "tool",
        "Bash",
        {"command": "echo one > a; echo two"},
    )
    answer = decide(gateway, job, decision="allow")
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] in {"waiting", "active"}
    ended = gateway.finished(job["jobId"])
    assert (ended["state"], ended["attempts"], ended["pending"]) == ("completed", 1, None), ended
    assert [one["content"] for one in results(model)] == ["two"]


def test_a_denied_call_is_not_made_although_rules_would_allow_it(gateway, model):
    """Catches a CLI that makes a read-only command, or one that its rules allow, without asking."""
    job = ask(gateway, model, bash("ls"), Text("done"))
    assert decide(gateway, job, decision="deny", message="not on a Friday").status_code == 200
    ended = gateway.finished(job["jobId"])
    assert ended["state"] == "completed", ended
    [result] = results(model)
    assert result["is_error"]
    assert "not on a Friday" in result["content"]


@pytest.mark.slow
@pytest.mark.long
def test_an_allowed_call_is_made_with_the_updated_input(gateway, model):
    job = ask(gateway, model, bash("echo model"), Text("done"))
    decide(gateway, job, decision="allow", updatedInput={"command": "echo human"})
    assert gateway.finished(job["jobId"])["state"] == "completed"
    assert [one["content"] for one in results(model)] == ["human"]


@pytest.mark.slow
@pytest.mark.long
def test_a_second_call_pauses_the_job_again(gateway, model):
    """Catches a second pause whose call the CLI does not find, and files of the first that are lost."""
    job = ask(gateway, model, bash("echo one > a"), bash("echo two >> a"), bash("cat a"), Text("done"))
    for _ in range(3):
        assert decide(gateway, job, decision="allow").status_code == 200
        job = after(gateway, job)
    assert job["state"] == "completed", job
    assert results(model)[-1]["content"] == "one\ntwo"


@pytest.mark.slow
@pytest.mark.long
def test_of_several_calls_one_waits_and_the_rest_is_refused_or_made(gateway, model):
    calls = [bash("echo free > f"), ToolUse("Write", {"file_path": "w", "content": "x"}), bash("cat f")]
    calls.insert(2, ToolUse("Write", {"file_path": "v", "content": "x"}))
    model.script(calls, Text("done"))
    job_id = gateway.submit("several", tools=["Bash", "Write"], approval={"tools": ["Write"]})
    job = paused(gateway, job_id)
    assert job["pending"]["input"]["file_path"].endswith("w"), job
    decide(gateway, job, decision="deny")
    assert gateway.finished(job_id)["state"] == "completed"
    contents = [result["content"] for result in results(model)]
    assert any("Only one call at a time" in one for one in contents), contents
    assert "free" in contents


@pytest.mark.slow
@pytest.mark.long
def test_a_question_of_the_model_is_answered(gateway, model):
    question = {
        "question": "Which color?", "header": "Color", "multiSelect": False,
        "options": [{"label": "Red", "description": "r"}, {"label": "Blue", "description": "b"}],
    }  # fmt: skip
    job = ask(
        gateway, model, ToolUse("AskUserQuestion", {"questions": [question]}), Text("done"), tools=[], approval={}
    )
    assert job["pending"]["kind"] == "question"
    assert decide(gateway, job, decision="allow").status_code == 422
    assert decide(gateway, job, decision="allow", answers={"Which size?": "L"}).status_code == 422
    assert decide(gateway, job, decision="allow", answers={"Which color?": "Blue"}).status_code == 200
    assert gateway.finished(job["jobId"])["state"] == "completed"
    assert '"Which color?"="Blue"' in results(model)[0]["content"]


def test_a_call_is_decided_once(gateway, model):
    job = ask(gateway, model, bash("echo x"), Text("done"))
    assert decide(gateway, job, decision="allow").status_code == 200
    again = decide(gateway, job, decision="deny")
    assert (again.status_code, again.json()["code"]) == (409, "already_decided")
    gateway.finished(job["jobId"])
    assert decide(gateway, job, decision="deny").status_code == 409
    other = {**job, "pending": {"id": "019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22"}}
    assert decide(gateway, other, decision="deny").status_code == 404


@pytest.mark.slow
@pytest.mark.long
def test_a_paused_job_can_be_cancelled(gateway, model):
    job = ask(gateway, model, bash("echo x"))
    assert gateway.client.delete(f"/api/query/{job['jobId']}").json()["state"] == "cancelled"
    assert decide(gateway, job, decision="allow").status_code == 409


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(("then", "state"), first_of([("deny", "completed"), ("fail", "failed")]))
def test_a_call_that_nobody_decides_is_denied_or_fails_the_job(gateway, model, then, state):
    approval = {"tools": ["Bash"], "timeoutMs": 1000, "onTimeout": then}
    model.script(bash("echo x"), *([Text("done")] if then == "deny" else []))
    ended = gateway.finished(gateway.submit(f"late {then}", tools=["Bash"], approval=approval))
    assert ended["state"] == state, ended
    if then == "fail":
        assert ended["error"]["code"] == "approval_expired"
    else:
        assert "Nobody decided" in results(model)[0]["content"]
