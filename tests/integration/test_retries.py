"""The relay retries a request that fails for a while; a run that breaks is retried as an attempt."""

import json
import threading
import time

import pytest

from local.messages_api import tool_results, user_query
from tests.support.parameters import first_of
from tests.support.scripted_model import Disconnect, Error, Hang, Text, ToolUse
from tests.support.streams import Stream
from tests.support.waiting import until

pytestmark = pytest.mark.once

OVERLOADED = Error(529, "overloaded_error", headers={"request-id": "req_of_claude"})


@pytest.fixture(scope="module")
def variables():
    return {
        "CLAUDE_SILENCE_TIMEOUT": "2000",
        "CLAUDE_TOOLS": "Bash",
        "ADMIN_ENABLED": "true",
        "ADMIN_PASSWORD": "long enough to be one",
    }


def failing(query, *replies, well=None):
    """Reply to a query with these in turn, and to everything else at once."""
    left = list(replies)
    return lambda body: left.pop(0) if user_query(body) == query and left else (well or Text("fine"))


def requests_of(model, query):
    return [request for request in model.requests if user_query(request.body) == query]


def watched(gateway, job_id):
    """Poll a job to its end; return its states in order, and the last status."""
    seen = [gateway.job(job_id)]
    while seen[-1]["finishedAt"] is None:
        seen.append(gateway.job(job_id))
    progress = [job["progress"] for job in seen]
    assert progress == sorted(progress)
    return list(dict.fromkeys(job["state"] for job in seen)), seen


def overloaded_for(seconds, well):
    """Reply with 529 for so many seconds after the first request, then as `well` says."""
    first: list[float] = []

    def reply(body):
        first.append(time.monotonic())
        return OVERLOADED if time.monotonic() < first[0] + seconds else well(body)

    return reply


@pytest.mark.parametrize(
    "trouble",
    first_of([OVERLOADED, Disconnect(after_chunks=0), Error(500, "api_error"), Error(429, "rate_limit_error")], 2),
    ids=["overloaded", "connection cut", "server_error", "rate_limited"],
)
def test_a_request_that_fails_is_sent_again_without_an_attempt(gateway, model, script, trouble):
    query = f"passes {trouble}"
    script(failing(query, trouble))
    states, seen = watched(gateway, gateway.submit(query))
    job = seen[-1]
    assert (job["state"], job["result"]["response"], job["attempts"]) == ("completed", "fine", 1)
    assert "delayed" not in states
    assert len(requests_of(model, query)) == 2
    assert job["waitingFor"] is None


@pytest.mark.parametrize("seconds", [4, pytest.param(30, marks=[pytest.mark.slow, pytest.mark.long])])
def test_a_job_outlasts_an_overload(gateway, script, seconds):
    script(overloaded_for(seconds, lambda body: Text("fine")))
    job_id = gateway.submit(f"outlasts {seconds}")
    waits = gateway.until(lambda: gateway.job(job_id)["waitingFor"], bool)
    assert waits["code"] == "overloaded"
    assert waits["since"] <= waits["retryAt"]
    job = gateway.finished(job_id, timeout=seconds + 60)
    assert (job["state"], job["attempts"], job["waitingFor"]) == ("completed", 1, None)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [4, pytest.param(30, marks=[pytest.mark.slow, pytest.mark.long])])
def test_an_overload_in_the_third_tool_call_repeats_no_tool(gateway, script, seconds):
    overload: list[float] = []
    ran: list[str] = []

    def reply(body):
        results = sum(message["role"] == "user" for message in body["messages"]) - 1
        if results < 3:
            return ToolUse("Bash", {"command": f"echo {results} >> ran; tr '\\n' ' ' < ran"})
        overload.append(time.monotonic())
        if time.monotonic() < overload[0] + seconds:
            return OVERLOADED
        # Whatever ran while Claude was overloaded would be in the file that the next call reads.
        if results == 3:
            return ToolUse("Bash", {"command": "tr '\\n' ' ' < ran"})
        ran.extend(tool_results(body)[-1].split())
        return Text("done")

    script(reply)
    job_id = gateway.submit(f"works for {seconds}", tools=["Bash"])
    job = gateway.finished(job_id, timeout=seconds + 60)
    assert (job["state"], job["attempts"], job["result"]["response"]) == ("completed", 1, "done")
    assert ran == ["0", "1", "2"]
    assert job["result"]["turns"] == 5


@pytest.mark.slow
@pytest.mark.long
def test_credentials_refused_during_a_run_are_retried(gateway, script):
    left = [ToolUse("Bash", {"command": "true"}), Error(401, "authentication_error"), Error(403, "permission_error")]
    script(lambda body: left.pop(0) if left else Text("done"))
    job = gateway.ask("loses its key", tools=["Bash"])
    assert (job["state"], job["attempts"]) == ("completed", 1)


def test_events_and_operators_see_each_retry(gateway, script):
    script(failing("seen", OVERLOADED, OVERLOADED))
    job_id = gateway.submit("seen")
    gateway.finished(job_id)
    stream = Stream(gateway.client, job_id)
    stream.read()
    events = [json.loads(event.data) for event in stream.events if event.kind == "retry"]
    assert [(event["code"], event["attempt"]) for event in events] == [("overloaded", 1), ("overloaded", 2)]
    assert all(200 <= event["delayMs"] <= 1300 for event in events)
    auth = ("admin", "long enough to be one")
    shown = gateway.client.get(f"/admin/api/jobs/{job_id}", auth=auth).json()
    [attempt] = shown["attempts"]
    kept = [{name: value for name, value in request.items() if name != "at"} for request in attempt["requests"]]
    assert kept == 2 * [
        {"status": 529, "type": "overloaded_error", "message": "scripted", "requestId": "req_of_claude"}
    ]
    assert "req_of_claude" not in str(gateway.job(job_id))

    def lines():
        return [line for line in list(gateway.log) if "claude_request_failed" in line and job_id in line]

    until(lambda: len(lines()) == 2)
    assert all("status=529" in line and "req_of_claude" in line and "scripted" not in line for line in lines())


def test_a_stream_that_is_cut_is_an_attempt(gateway, model, script):
    script(failing("cut", Error(500, "api_error", after_chunks=3)))
    job = gateway.ask("cut")
    assert (job["state"], job["result"]["response"], job["attempts"]) == ("completed", "fine", 2)


@pytest.mark.slow
def test_a_connection_that_is_cut_in_the_middle_is_an_attempt(gateway, model, script):
    script(failing("torn", Disconnect(after_chunks=3)))
    job = gateway.ask("torn")
    assert (job["state"], job["result"]["response"], job["attempts"]) == ("completed", "fine", 2)
    assert job["result"]["usage"]["inputTokens"] == 10
    assert [attempt["code"] for attempt in job["attemptsDetail"]] == ["server_error", None]


def test_attempts_end_at_the_limit_with_the_last_error(gateway, model, script):
    script(failing("stays", *[Error(500, "api_error", after_chunks=1)] * 9))
    job = gateway.ask("stays")
    assert (job["state"], job["error"]["code"], job["error"]["retryable"]) == ("failed", "server_error", True)
    assert job["attempts"] == 3
    assert len(requests_of(model, "stays")) == 3, job["attemptsDetail"]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("status", first_of([401, 402, 404]))
def test_permanent_errors_are_not_retried(gateway, script, status):
    script(failing(f"no {status}", *[Error(status, "some_error")] * 9))
    job = gateway.ask(f"no {status}")
    assert (job["state"], job["attempts"], job["error"]["retryable"]) == ("failed", 1, False)
    gateway.ask(f"well again {status}")


@pytest.mark.slow
@pytest.mark.long
def test_silence_before_the_first_byte_is_retried_at_the_request(gateway, script):
    never = threading.Event()
    script(failing("silent", Hang(until=never)))
    job = gateway.ask("silent")
    never.set()
    assert (job["state"], job["attempts"]) == ("completed", 1)


@pytest.mark.slow
@pytest.mark.long
def test_waiting_for_claude_is_no_silence(gateway, script):
    # The first pause is longer than CLAUDE_SILENCE_TIMEOUT.
    script(failing("patient", Error(529, "overloaded_error", headers={"retry-after": "3"})))
    job = gateway.ask("patient")
    assert (job["state"], job["attempts"]) == ("completed", 1)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(("status", "code"), [(529, "overloaded"), (429, "rate_limited"), (500, "server_error")])
def test_the_end_of_the_clock_fails_a_job_for_what_it_waited_for(gateway, script, status, code):
    script(failing(f"waits {status}", *[Error(status, "some_error")] * 99))
    job = gateway.ask(f"waits {status}", timeoutMs=4000)
    assert (job["error"]["code"], job["error"]["retryable"], job["attempts"]) == (code, True, 1)


@pytest.mark.slow
@pytest.mark.long
def test_a_job_that_cannot_retry_in_time_fails_at_once(gateway, script):
    script(failing("no time", *[Error(529, "overloaded_error", headers={"retry-after": "30"})] * 9))
    job = gateway.ask("no time", timeoutMs=10_000)
    assert (job["error"]["code"], job["attempts"]) == ("overloaded", 1)


@pytest.mark.slow
def test_a_rate_limit_holds_the_whole_fleet_until_retry_after(gateway, model, script):
    script(failing("limited", Error(429, "rate_limit_error", headers={"retry-after": "3"})))
    first = gateway.submit("limited")
    gateway.until(lambda: gateway.job(first)["waitingFor"], bool)
    health = gateway.client.get("/health").json()
    assert (health["status"], health["reason"]) == ("degraded", "rate_limited")
    second = gateway.submit("another")
    assert {gateway.finished(job_id)["state"] for job_id in (first, second)} == {"completed"}
    refused, again, other = requests_of(model, "limited") + requests_of(model, "another")
    assert again.at - refused.at >= 3
    assert other.at - refused.at >= 3
    assert gateway.client.get("/health").json()["status"] == "ok"


@pytest.mark.slow
def test_a_job_that_waits_for_claude_can_be_cancelled(gateway, model, script):
    script(failing("give up", *[Error(500, "api_error", headers={"retry-after": "5"})] * 9))
    job_id = gateway.submit("give up")
    gateway.until(lambda: gateway.job(job_id)["waitingFor"], bool)
    assert gateway.client.delete(f"/api/query/{job_id}").json()["state"] == "cancelled"
    assert gateway.job(job_id)["waitingFor"] is None
    before = len(requests_of(model, "give up"))
    gateway.ask("later")
    assert len(requests_of(model, "give up")) == before


@pytest.mark.slow
def test_an_overloaded_model_is_replaced_by_its_fallback(gateway, model, script):
    def reply(body):
        return OVERLOADED if body["model"].startswith("claude-opus") else Text("from the other")

    script(reply)
    asks = {"query": "falls back", "model": "claude-opus-5-5", "fallbackModels": ["haiku"]}
    job = gateway.finished(gateway.client.post("/api/query", json=asks).json()["jobId"])
    assert (job["state"], job["attempts"]) == ("completed", 1)
    assert job["result"]["model"] == "claude-haiku-5-5"
    assert job["result"]["costUsd"] == pytest.approx((10 * 0.1 + 5 * 0.5) / 1e6)
    again = gateway.client.post("/api/query", json=asks)
    assert again.json()["status"] == "cached"
    without = gateway.client.post("/api/query", json={**asks, "fallbackModels": []})
    assert without.json()["status"] == "queued"
    gateway.client.delete(f"/api/query/{without.json()['jobId']}")
