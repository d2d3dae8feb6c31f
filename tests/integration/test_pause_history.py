"""What operators see of a job's pauses that have ended: each with its outcome, its times and who decided."""

import json
from typing import Any, Literal

import pytest
import redis

from functions.admin.finding import JobFilter
from shared.api.ids import new_id
from shared.api.views import pauses_for_operators
from shared.store import keys
from shared.store.jobs import decisions, finding, maintenance, operations, records
from shared.store.jobs.records import StoredJob
from shared.store.redis.client import async_client, close_clients
from tests.integration.test_decision_races import ALLOW, DENY, LATE, paused


@pytest.fixture(autouse=True)
async def _closed():
    yield
    await close_clients()


async def read(server, job_id: str) -> StoredJob:
    job = await records.read(async_client(server.url), job_id, None)
    assert job is not None
    return job


def shown(job: StoredJob) -> list[tuple[Any, ...]]:
    return [(one["decisionId"], one["tool"], one["outcome"], one["by"]) for one in pauses_for_operators(job)]


@pytest.mark.parametrize("decision", [ALLOW, DENY])
@pytest.mark.parametrize("by", ["caller", "url", "admin"])
async def test_a_pause_that_was_decided_has_who_decided(server, store, decision, by):
    """Catches a job's page that does not say who allowed a call."""
    job_id = await paused(server)
    assert shown(await read(server, job_id)) == []
    assert await decisions.decide(async_client(server.url), job_id, "ask", decision, caller=None, by=by) == "decided"
    job = await read(server, job_id)
    assert shown(job) == [("ask", "Bash", decision["decision"], by)]
    assert job.pauses[0]["askedAt"] <= job.pauses[0]["endedAt"]


@pytest.mark.parametrize("late", ["deny", "fail"])
async def test_a_pause_without_a_decision_has_expired(server, store, late: Literal["deny", "fail"]):
    job_id = await paused(server, late)
    store.hset(f"cg:job:{job_id}", "until", 1)
    store.zadd(keys.AWAITING, {job_id: 1})
    with redis.Redis(port=server.port) as client:
        maintenance.expire_decisions(client, denial=json.dumps(LATE), error="{}", keep_for=60)
    assert shown(await read(server, job_id)) == [("ask", "Bash", "expired", None)]


async def test_a_cancelled_pause_is_no_expired_one(server, store):
    """Catches a cancellation, and one after a decision, that shows as a pause that expired, or twice."""
    client = async_client(server.url)
    first, second = await paused(server), await paused(server)
    await decisions.decide(client, second, "ask", ALLOW, caller=None)
    for job_id in (first, second):
        await records.cancel(client, job_id, keys.ANONYMOUS, keep_for=60)
    assert shown(await read(server, first)) == [("ask", "Bash", "cancelled", None)]
    assert shown(await read(server, second)) == [("ask", "Bash", "allow", "admin")]
    await operations.retry(client, first)
    assert shown(await read(server, first)) == [], "a retried job begins with no pause"


async def test_the_pauses_that_are_kept_are_bounded(server, store):
    """Catches a record that grows with each pause, and a name that is cut within a character."""
    job_id = await paused(server)
    call = json.dumps({"id": "ask", "kind": "tool", "tool": "x" * 199 + "é\u2028" * 200, "input": {}, "askedAt": 1})
    for _ in range(30):
        store.hset(f"cg:job:{job_id}", mapping={"state": "paused", "ask": "ask", "pause": call, "until": 1 << 50})
        assert await decisions.decide(async_client(server.url), job_id, "ask", ALLOW, caller=None) == "decided"
    job = await read(server, job_id)
    assert [one["tool"] for one in job.pauses] == ["x" * 199] * 20


async def test_the_webhook_of_a_pause_leads_to_its_job(server, store):
    """Catches the id of an event that asks for a decision, and that the search does not know."""
    client = async_client(server.url)
    ask = new_id()
    job_id = await paused(server, ask=ask, webhook_url="http://receiver.example/", webhook_host="receiver.example")
    [event] = [f"msg_{name}" for name in store.smembers(keys.hooks(job_id))]
    assert event.endswith(f".{ask}")
    found = await finding.find(client, JobFilter(id=event).wanted(), most=10, before=None)
    assert list(found.callers) == [job_id]
