"""A message to a running job reaches the model at the next step; at the end of the job it is refused or received."""

import json
import threading

import pytest

from shared.api.steps import MAX_MESSAGE_BYTES, MOST_MESSAGES
from shared.store.callers import callers
from shared.store.jobs import claims
from shared.store.redis.client import async_client
from tests.support.scripted_model import Disconnect, Hang, Text, ToolUse
from tests.support.slot import pop_one
from tests.support.streams import Stream
from tests.support.terminal import Terminal
from tests.support.waiting import until

pytestmark = pytest.mark.once
UNKNOWN = "01a00000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def variables():
    return {"CLAUDE_TOOLS": "Bash", "CLAUDE_MAX_RETRIES": "2", "CACHE_TTL": "600", "DEDUP_ENABLED": "true"}


def send(gateway, job, text="Leave the tests."):
    return gateway.client.post(f"/api/query/{job}/messages", json={"text": text})


def wait_for(file="go"):
    """A call that ends when a test makes a file in the working directory of the run."""
    return ToolUse("Bash", {"command": f"until [ -e {file} ]; do sleep 0.02; done"})


def release(gateway, file="go"):
    """End such a call."""
    for work in gateway.runs.glob("claude-worker-*/claude-run-*/work"):
        (work / file).touch()


def steps_of(gateway, job):
    return gateway.client.get(f"/api/query/{job}/steps").json()["steps"]


def requested(model, since):
    return [json.dumps(one.body["messages"]) for one in model.requests[since:]]


def running(gateway, job):
    until(lambda: gateway.job(job)["steps"] > 0)
    return job


def test_a_message_reaches_the_model_after_the_running_call(gateway, model):
    before = len(model.requests)
    # Two calls: the CLI may read the message only after the first has ended.
    model.script(wait_for(), wait_for("again"), Text("as you say"))
    job = running(gateway, gateway.submit("work", tools=["Bash"]))
    sent = send(gateway, job, "Use no mocks — é😀")
    assert sent.status_code == 202, sent.text
    assert sent.json()["jobId"] == job
    message = until(lambda: [one for one in steps_of(gateway, job) if one["kind"] == "message"])[0]
    assert (message["id"], message["status"]) == (sent.json()["messageId"], "started")
    assert (message["input"], message["tool"]) == ({"text": "Use no mocks — é😀"}, None)
    release(gateway)
    until(lambda: gateway.job(job)["steps"] == 3)
    release(gateway, "again")
    assert gateway.finished(job)["result"]["response"] == "as you say"
    *_, last = requested(model, before)
    assert last.count(json.dumps("Use no mocks — é😀")[1:-1]) == 1
    assert [(one["kind"], one["status"]) for one in steps_of(gateway, job)] == [
        ("tool", "completed"), ("message", "completed"), ("tool", "completed"),
    ]  # fmt: skip
    events = [json.loads(one.data) for one in Stream(gateway.client, job).to_the_end().events if one.kind == "step"]
    assert sum(one["kind"] == "message" for one in events) == 2


def test_a_message_while_the_last_answer_is_written_is_answered(gateway, model):
    """Catches a message that the CLI holds when its answer ends the run."""
    go = threading.Event()
    before = len(model.requests)
    model.script(Hang(go), Text("and that"))
    job = gateway.submit("without tools")
    model.wait_for_requests(before + 1)
    assert send(gateway, job).status_code == 202
    until(lambda: [one for one in steps_of(gateway, job) if one["kind"] == "message"])
    go.set()
    ended = gateway.finished(job)
    assert (ended["state"], ended["result"]["response"]) == ("completed", "and that")
    assert ended["result"]["turns"] == 2
    assert [one["status"] for one in steps_of(gateway, job)] == ["completed"]


@pytest.mark.slow
@pytest.mark.long
def test_a_steered_answer_is_neither_cached_nor_joined(gateway, model):
    """Catches an answer to more than the query that is given to the next client with the same query."""
    go = threading.Event()
    before = len(model.requests)
    model.script(Hang(go), Text("steered"), Text("plain"))
    job = gateway.submit("the same query")
    model.wait_for_requests(before + 1)
    assert gateway.client.post("/api/query", json={"query": "the same query"}).json()["status"] == "duplicate"
    send(gateway, job)
    other = gateway.client.post("/api/query", json={"query": "the same query"}).json()
    assert (other["status"], other["jobId"] != job) == ("queued", True)
    go.set()
    assert gateway.finished(job)["result"]["response"] in {"steered", "plain"}
    gateway.finished(other["jobId"])
    again = gateway.client.post("/api/query", json={"query": "the same query"}).json()
    assert (again["status"], again["jobId"]) == ("cached", other["jobId"])


@pytest.mark.slow
@pytest.mark.long
def test_a_second_attempt_gets_the_message_again(gateway, model):
    """Catches a message that only the lost attempt has received."""
    before = len(model.requests)
    model.script(wait_for(), Disconnect(3), Text("first"), Text("second"))
    job = running(gateway, gateway.submit("fail once", tools=["Bash"]))
    send(gateway, job, "remember me")
    release(gateway)
    ended = gateway.finished(job)
    assert (ended["state"], ended["attempts"]) == ("completed", 2)
    assert "remember me" in requested(model, before)[-1]
    assert [one["kind"] for one in steps_of(gateway, job)] == ["tool", "message"]


def test_a_job_that_does_not_run_takes_no_message(gateway, model):
    ended = gateway.ask("short")["jobId"]
    refused = send(gateway, ended)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_running")
    assert steps_of(gateway, ended) == []
    for job in (UNKNOWN, "x", "%00"):
        assert send(gateway, job).status_code == 404


@pytest.mark.parametrize("body", [
    {}, {"text": ""}, {"text": " \n\ufeff"}, {"text": 7}, {"text": None}, {"text": "a", "more": 1}, [], "text",
    {"text": "é" * MAX_MESSAGE_BYTES}, {"text": "x" * (MAX_MESSAGE_BYTES + 1)},
], ids=repr)  # fmt: skip
def test_a_wrong_message_is_refused(gateway, body):
    answer = gateway.client.post(f"/api/query/{UNKNOWN}/messages", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text


def test_half_a_character_is_no_server_error(gateway):
    headers = {"Content-Type": "application/json"}
    answer = gateway.client.post(f"/api/query/{UNKNOWN}/messages", content=b'{"text": "a\\ud83d"}', headers=headers)
    assert answer.status_code in {400, 404, 422}


@pytest.mark.slow
@pytest.mark.long
def test_messages_of_a_job_are_limited(gateway, model):
    model.script(wait_for(), Text("many"))
    job = running(gateway, gateway.submit("many", tools=["Bash"]))
    assert {send(gateway, job, f"message {number}").status_code for number in range(MOST_MESSAGES)} == {202}
    full = send(gateway, job)
    assert (full.status_code, full.json()["code"]) == (409, "too_many_messages")
    assert str(MOST_MESSAGES) in full.json()["detail"]
    release(gateway)
    gateway.finished(job)
    found = steps_of(gateway, job)
    shown = [one["input"]["text"] for one in found if one["kind"] == "message"]
    assert shown == [f"message {number}" for number in range(MOST_MESSAGES)][: len(shown)]
    assert gateway.job(job)["steps"] == MOST_MESSAGES + 1


@pytest.mark.slow
@pytest.mark.long
def test_a_command_in_a_message_is_text(gateway, model):
    """Catches a message that the CLI takes as its own command, or for a file to read."""
    before = len(model.requests)
    model.script(wait_for())  # and then the query itself is the answer
    job = running(gateway, gateway.submit("commands", tools=["Bash"]))
    texts = ["/clear", "@/etc/passwd", "!ls", "/cost"]
    for text in texts:
        assert send(gateway, job, text).status_code == 202
    until(lambda: len(steps_of(gateway, job)) == 5)
    release(gateway)
    assert gateway.finished(job)["state"] == "completed"
    sent_text = requested(model, before)[-1]
    assert all(json.dumps(text)[1:-1] in sent_text for text in texts)
    assert "root:" not in sent_text


@pytest.mark.slow
@pytest.mark.long
def test_no_message_at_the_end_of_a_job_is_lost(gateway, model):
    """Catches a message that is accepted while the run ends and that no model receives."""
    model.reply = lambda body: Text("ok")
    received = refused = 0
    for number in range(12):
        before = len(model.requests)
        job = gateway.submit(f"end {number}", cache={"mode": "bypass"})
        answers: list[tuple[str, int]] = []

        def steer(job=job, answers=answers, number=number):
            while not answers or answers[-1][1] != 409 or gateway.job(job)["finishedAt"] is None:
                text = f"steer {number}.{len(answers)}."
                answers.append((text, send(gateway, job, text).status_code))
                if len(answers) >= 40:
                    return

        steering = threading.Thread(target=steer)
        steering.start()
        assert gateway.finished(job)["state"] == "completed"
        steering.join()
        everything = "".join(requested(model, before))
        for text, status in answers:
            assert (text in everything) == (status == 202), (text, status)
            received, refused = received + (status == 202), refused + (status == 409)
    assert received
    assert refused


@pytest.mark.slow
@pytest.mark.long
def test_a_line_typed_at_ask_reaches_the_job(gateway, model, tmp_path):
    """Catches a terminal that shows no steps, and a typed line that stays there."""
    before = len(model.requests)
    model.script([Text("Working. "), wait_for()], Text("as typed"))
    with Terminal(tmp_path, gateway.url, "ask", "steer me", "--tool", "Bash") as terminal:
        terminal.until("Working.")
        [job] = [one["jobId"] for one in gateway.client.get("/api/query?limit=1").json()["jobs"]]
        running(gateway, job)
        terminal.type("Mind the gap\n")
        until(lambda: [one for one in steps_of(gateway, job) if one["kind"] == "message"])
        release(gateway)
        terminal.until("as typed")
        assert terminal.end() == 0
    assert "● Bash until [ -e go ]; do sleep 0.02; done …" in terminal.shown
    assert "● message Mind the gap" in terminal.shown
    assert "Mind the gap" in requested(model, before)[-1]


async def test_another_caller_sees_no_job(connect, server):
    """Catches steps, and a message, that reach the job of another caller by its id."""
    client = await connect(AUTH_ENABLED="true")
    mine, other = [
        {"X-API-Key": (await callers.create(async_client(server.url), name)).key} for name in ("mine", "other")
    ]
    job = (await client.post("/api/query", json={"query": "x"}, headers=mine)).json()["jobId"]
    assert await claims.take(async_client(server.url), pop_one(server.url), "slot")
    path, message = f"/api/query/{job}", {"text": "hi"}
    assert (await client.post(f"{path}/messages", json=message, headers=other)).status_code == 404
    assert (await client.get(f"{path}/steps", headers=other)).status_code == 404
    assert (await client.post(f"{path}/messages", json=message)).status_code == 401
    assert (await client.post(f"{path}/messages", json=message, headers=mine)).status_code == 202
    assert len((await client.get(f"{path}/steps", headers=mine)).json()["steps"]) == 1
