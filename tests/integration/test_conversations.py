"""Sessions: on any worker, one turn at a time, and private to their caller."""

import threading
import time
from typing import Any

import pytest
from claude_agent_sdk.testing import run_session_store_conformance

from local.messages_api import user_query
from shared.api.ids import new_id
from shared.store import keys
from shared.store.jobs import maintenance
from shared.store.jobs.sessions import TranscriptStore
from shared.store.redis.client import async_client, close_clients
from tests.support.gateway import Gateway
from tests.support.parameters import first_of
from tests.support.scripted_replies import Error, Hang, Text


async def test_the_store_passes_the_conformance_suite_of_the_sdk(store, server):
    def make() -> Any:  # the SDK requires no subclass
        return TranscriptStore(async_client(server.url), f"cg:test:{new_id()}", 60)

    await run_session_store_conformance(make)
    await close_clients()


@pytest.mark.once
def test_a_session_continues_with_earlier_turns(gateway, model):
    first = gateway.ask("my name is Ada", session=True)["result"]
    second = gateway.ask("what is it?", sessionId=first["sessionId"])["result"]
    assert second["sessionId"] == first["sessionId"]
    assert model.texts() == ["my name is Ada", "my name is Ada", "what is it?"]
    gateway.ask("and now?", sessionId=first["sessionId"])
    assert model.texts()[-3:] == ["what is it?", "what is it?", "and now?"]


@pytest.mark.once
def test_a_fork_does_not_change_its_parent(gateway, model):
    session = gateway.ask("begin", session=True)["result"]["sessionId"]
    fork = gateway.ask("aside", sessionId=session, fork=True)["result"]["sessionId"]
    assert fork != session
    gateway.ask("on", sessionId=session)
    assert model.texts() == ["begin", "begin", "on"]
    gateway.ask("further aside", sessionId=fork)
    assert model.texts() == ["begin", "begin", "aside", "aside", "further aside"]


@pytest.mark.slow
@pytest.mark.once
def test_concurrent_turns_run_in_order_without_holding_a_slot(gateway, model, script):
    session = gateway.ask("zero", session=True)["result"]["sessionId"]
    go = threading.Event()
    script(lambda body: Hang(go) if user_query(body) == "one" else Text(user_query(body)))
    one = gateway.submit("one", sessionId=session)
    gateway.until(lambda: gateway.job(one)["state"], "active".__eq__)
    turns = [gateway.submit(query, sessionId=session) for query in ("two", "three", "four")]
    # Two slots: the other one is free for other jobs.
    assert gateway.ask("something else")["state"] == "completed"
    assert {gateway.job(turn)["state"] for turn in turns} == {"waiting"}
    assert gateway.client.delete(f"/api/query/{turns[1]}").json()["state"] == "cancelled"
    go.set()
    assert [gateway.finished(turn)["state"] for turn in turns] == ["completed", "cancelled", "completed"]
    assert model.texts() == ["zero", "zero", "one", "ok", "two", "two", "four"]


@pytest.mark.slow
@pytest.mark.once
def test_a_turn_that_failed_leaves_no_trace(gateway, model, script):
    session = gateway.ask("before", session=True)["result"]["sessionId"]
    script(lambda body: Error(404, "not_found_error") if user_query(body) == "fails" else Text(user_query(body)))
    assert gateway.ask("fails", sessionId=session)["state"] == "failed"
    gateway.ask("after", sessionId=session)
    assert model.texts() == ["before", "before", "after"]


@pytest.mark.slow
def test_writes_of_the_cli_after_its_answer_are_discarded(tmp_path, model, store, server):
    variables = {"REDIS_URL": server.url, "ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "k"}
    with Gateway(tmp_path, **variables, QUEUE_CONCURRENCY="1") as gateway:
        session = gateway.ask("kept", session=True)["result"]["sessionId"]
        # The slot is free once everything of the previous run has ended.
        gateway.ask("after")
        assert not store.keys("cg:turn:*")
        assert store.keys(f"cg:talk:*{session}*")


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize("session", first_of(["01a00000-0000-7000-8000-000000000000", "none-of-that-name"]))
def test_a_missing_session_fails_the_job_without_calling_claude(gateway, model, session):
    requests = len(model.requests)
    job = gateway.ask("hello?", sessionId=session)
    assert (job["state"], job["error"]["code"], job["error"]["retryable"]) == ("failed", "session_not_found", False)
    assert len(model.requests) == requests


@pytest.mark.once
def test_a_fork_without_a_session_is_refused_by_name(gateway):
    answer = gateway.client.post("/api/query", json={"query": "x", "fork": True})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/fork")


@pytest.mark.slow
async def test_a_turn_whose_predecessor_is_gone_is_released(connect, store):
    client = await connect(AUTH_ENABLED="false")
    jobs = []
    for query in ("one", "two"):
        answer = await client.post("/api/query", json={"query": query, "sessionId": "kept"})
        jobs.append(answer.json()["jobId"])
    assert store.zrange(keys.PARKED, 0, -1) == [jobs[1]]
    assert maintenance.queue_next_turns(store) == 0
    store.hset(keys.job(jobs[0]), "finished", int(time.time() * 1000))  # as if its end had not been published
    assert maintenance.queue_next_turns(store) == 1
    assert store.zrange(keys.PARKED, 0, -1) == []
    assert store.zscore(keys.WAITING, jobs[1]) is not None
