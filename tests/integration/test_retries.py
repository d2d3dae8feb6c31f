"""Transient errors are retried, and no others; `retry-after` of Claude is respected."""

import threading

import pytest

from local.messages_api import user_query
from tests.support.scripted_model import Error, Hang, Text

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def variables():
    return {"CLAUDE_SILENCE_TIMEOUT": "2000"}


def failing(query, *replies):
    """Reply to a query with these in turn, and to everything else at once."""
    left = list(replies)
    return lambda body: left.pop(0) if user_query(body) == query and left else Text("fine")


def requests_of(model, query):
    return [request for request in model.requests if user_query(request.body) == query]


def watched(gateway, job_id):
    """Poll a job to its end; return its states in order, and the last status."""
    seen = [gateway.job(job_id)]
    while seen[-1]["finishedAt"] is None:
        seen.append(gateway.job(job_id))
    progress = [job["progress"] for job in seen]
    assert progress == sorted(progress)
    return list(dict.fromkeys(job["state"] for job in seen)), seen[-1]


@pytest.mark.parametrize(
    "trouble",
    [Error(500, "api_error"), Error(529, "overloaded_error"), Error(429, "rate_limit_error")],
    ids=["server_error", "overloaded", "rate_limited"],
)
def test_transient_errors_are_retried_and_count(gateway, model, script, trouble):
    query = f"passes {trouble.status}"
    script(failing(query, trouble))
    states, job = watched(gateway, gateway.submit(query))
    assert (job["state"], job["result"]["response"], job["attempts"]) == ("completed", "fine", 2)
    assert "delayed" in states
    assert len(requests_of(model, query)) == 2


def test_a_cut_stream_is_retried(gateway, model, script):
    script(failing("cut", Error(500, "api_error", after_chunks=3)))
    job = gateway.ask("cut")
    assert (job["state"], job["result"]["response"], job["attempts"]) == ("completed", "fine", 2)


def test_attempts_end_at_the_limit_with_the_last_error(gateway, model, script):
    script(failing("stays", *[Error(500, "api_error")] * 9))
    job = gateway.ask("stays")
    assert (job["state"], job["error"]["code"], job["error"]["retryable"]) == ("failed", "server_error", True)
    assert job["attempts"] == 3
    assert len(requests_of(model, "stays")) == 3


@pytest.mark.parametrize("status", [401, 402, 404])
def test_permanent_errors_are_not_retried(gateway, script, status):
    script(failing(f"no {status}", *[Error(status, "some_error")] * 9))
    job = gateway.ask(f"no {status}")
    assert (job["state"], job["attempts"], job["error"]["retryable"]) == ("failed", 1, False)
    gateway.ask(f"well again {status}")


def test_silence_before_the_first_token_is_retried(gateway, script):
    never = threading.Event()
    script(failing("silent", Hang(until=never)))
    job = gateway.ask("silent")
    never.set()
    assert (job["state"], job["attempts"]) == ("completed", 2)


def test_a_job_without_time_for_a_retry_fails_with_its_own_error(gateway, script):
    script(failing("no time", *[Error(529, "overloaded_error", headers={"retry-after": "30"})] * 9))
    job = gateway.ask("no time", timeoutMs=10_000)
    assert (job["error"]["code"], job["attempts"]) == ("overloaded", 1)


def test_a_rate_limit_holds_the_whole_fleet_until_retry_after(gateway, model, script):
    script(failing("limited", Error(429, "rate_limit_error", headers={"retry-after": "3"})))
    first = gateway.submit("limited")
    gateway.until(lambda: gateway.job(first)["state"], lambda state: state == "delayed")
    health = gateway.client.get("/health").json()
    assert (health["status"], health["reason"], health["delayed"]) == ("degraded", "rate_limited", 1)
    second = gateway.submit("another")
    assert {gateway.finished(job_id)["state"] for job_id in (first, second)} == {"completed"}
    refused, again, other = requests_of(model, "limited") + requests_of(model, "another")
    assert again.at - refused.at >= 3
    assert other.at - refused.at >= 3
    assert gateway.client.get("/health").json()["status"] == "ok"


def test_a_job_waiting_for_its_next_attempt_can_be_cancelled(gateway, model, script):
    script(failing("give up", *[Error(500, "api_error")] * 9))
    job_id = gateway.submit("give up")
    gateway.until(lambda: gateway.job(job_id)["state"], lambda state: state == "delayed")
    assert gateway.client.delete(f"/api/query/{job_id}").json()["state"] == "cancelled"
    before = len(requests_of(model, "give up"))
    gateway.ask("later than its next attempt would have been")
    assert gateway.job(job_id)["state"] == "cancelled"
    assert len(requests_of(model, "give up")) == before
