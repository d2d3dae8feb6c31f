"""Messages and steps around a pause: a job that goes on receives each message once, and its step ends once."""

import json

import pytest

from tests.support.scripted_model import Text, ToolUse
from tests.support.streams import Stream
from tests.support.waiting import until

pytestmark = [pytest.mark.once, pytest.mark.slow, pytest.mark.long]
WRITE = ToolUse("Write", {"file_path": "w", "content": "x"})


@pytest.fixture(scope="module")
def variables():
    return {"CLAUDE_TOOLS": "Bash,Write", "CLAUDE_MAX_RETRIES": "1", "CACHE_TTL": "0"}


def wait_for(file):
    """A call that ends when a test makes a file in the working directory of the run."""
    return ToolUse("Bash", {"command": f"until [ -e {file} ]; do sleep 0.02; done"})


def release(gateway, file):
    """End such a call."""
    for work in gateway.runs.glob("claude-worker-*/claude-run-*/work"):
        (work / file).touch()


def submit(gateway, model, *replies):
    model.script(*replies)
    query = f"work {len(model.requests)}"
    return gateway.submit(query, tools=["Bash", "Write"], approval={"tools": ["Write"]})


def paused(gateway, job):
    return gateway.until(lambda: gateway.job(job), lambda now: now["state"] == "paused")


def decide(gateway, job, decision="allow"):
    place = f"/api/query/{job['jobId']}/decisions/{job['pending']['id']}"
    assert gateway.client.post(place, json={"decision": decision}).status_code == 200


def send(gateway, job, text):
    return gateway.client.post(f"/api/query/{job}/messages", json={"text": text})


def steps_of(gateway, job):
    return gateway.client.get(f"/api/query/{job}/steps").json()["steps"]


def statuses(gateway, job):
    return [(one["tool"] or one["input"]["text"], one["status"]) for one in steps_of(gateway, job)]


def last_request(model):
    return json.dumps(model.requests[-1].body["messages"])


def test_a_turn_of_a_session_may_pause(gateway, model):
    """Catches a turn that loses the turns before it, or that keeps two copies of them."""
    model.script(WRITE, Text("the first answer"), WRITE, Text("the second answer"), Text("the last answer"))
    fields = {"tools": ["Write"], "approval": {"tools": ["Write"]}}
    job = gateway.submit("the first query", session=True, **fields)
    decide(gateway, paused(gateway, job))
    session = gateway.finished(job)["result"]["sessionId"]
    job = gateway.submit("the second query", sessionId=session, **fields)
    decide(gateway, paused(gateway, job))
    session = gateway.finished(job)["result"]["sessionId"]
    assert gateway.ask("the last query", sessionId=session)["result"]["response"] == "the last answer"
    turns = ("the first query", "the first answer", "the second query", "the second answer", "the last query")
    assert [last_request(model).count(text) for text in turns] == [1] * 5


@pytest.mark.long  # the CLI may read the message late on a busy machine
def test_a_message_before_a_pause_is_received_once(gateway, model):
    """Catches a run that gives the CLI again what its transcript has, and a paused job that takes a message."""
    job = submit(gateway, model, wait_for("go"), WRITE, wait_for("on"), Text("done"))
    until(lambda: gateway.job(job)["steps"] == 1)
    assert send(gateway, job, "the first word").status_code == 202
    release(gateway, "go")
    now = paused(gateway, job)
    assert last_request(model).count("the first word") == 1
    refused = send(gateway, job, "too late")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_running")
    decide(gateway, now)
    until(lambda: ("Bash", "started") in statuses(gateway, job))
    assert send(gateway, job, "the last word").status_code == 202
    release(gateway, "on")
    assert gateway.finished(job)["state"] == "completed"
    assert [last_request(model).count(text) for text in ("the first word", "the last word", "too late")] == [1, 1, 0]
    assert [status for _, status in statuses(gateway, job)] == ["completed"] * 5


@pytest.mark.long  # the CLI may read the message late on a busy machine
def test_a_message_that_comes_as_the_run_pauses_is_received_once(gateway, model):
    """Catches a message that the CLI had, and that no request to the model contained before the pause."""
    job = submit(gateway, model, [wait_for("go"), WRITE], Text("done"))
    until(lambda: gateway.job(job)["steps"] > 0)
    assert send(gateway, job, "just in time").status_code == 202
    release(gateway, "go")
    now = paused(gateway, job)
    decide(gateway, now)
    assert gateway.finished(job)["state"] == "completed"
    until(lambda: ("just in time", "completed") in statuses(gateway, job))
    assert last_request(model).count("just in time") == 1


@pytest.mark.parametrize(("decision", "status"), [("allow", "completed"), ("deny", "denied")])
def test_the_step_of_a_call_that_waits_goes_on_after_the_pause(gateway, model, decision, status):
    """Catches a step that fails with the run that pauses, or that begins a second time."""
    job = submit(gateway, model, WRITE, Text("done"))
    now = paused(gateway, job)
    assert statuses(gateway, job) == [("Write", "started")]
    decide(gateway, now, decision)
    assert gateway.finished(job)["steps"] == 1
    [step] = steps_of(gateway, job)
    assert (step["status"], step["tool"]) == (status, "Write")
    events = [json.loads(one.data) for one in Stream(gateway.client, job).to_the_end().events if one.kind == "step"]
    assert [(one["id"], one["status"]) for one in events] == [(step["id"], "started"), (step["id"], status)]
    assert events[0]["input"] == events[1]["input"] == step["input"]
    assert events[0]["startedAt"] == events[1]["startedAt"]


def test_a_call_that_must_ask_again_is_a_denied_step(gateway, model):
    job = submit(gateway, model, [WRITE, ToolUse("Write", {"file_path": "v", "content": "x"})], Text("done"))
    decide(gateway, paused(gateway, job))
    assert gateway.finished(job)["state"] == "completed"
    assert statuses(gateway, job) == [("Write", "completed"), ("Write", "denied")]
