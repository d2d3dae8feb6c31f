"""The job's page says why a job waits."""

import json

import pytest

from shared.store import keys
from shared.store.callers import callers, policies
from shared.store.redis.client import async_client
from tests.integration.test_admin import ON, basic, submit
from tests.support.slot import ERROR, run, take


@pytest.fixture
async def admin(connect, store):
    client = await connect(**ON)
    client.headers.update(basic())
    store.zadd(keys.SLOTS, {"host-1-1": 4_000_000_000})
    return client


async def codes(admin, job):
    answer = await admin.get(f"/admin/api/jobs/{job}")
    assert answer.status_code == 200, answer.text
    return {one["code"]: one for one in answer.json()["waits"]}


async def test_a_place_in_the_queue_is_explained(admin, server):
    """Catches a page on which a waiting job just waits."""
    first, second = await submit(admin, "one"), await submit(admin, "two")
    found = await codes(admin, second)
    assert found.keys() == {"place"}
    assert "1 of 2 waiting jobs are ahead" in found["place"]["message"]
    await take(server.url, "host-1-1")
    assert (await codes(admin, second)).keys() == {"place", "slots"}
    assert await codes(admin, first) == {}


async def test_what_holds_the_queue_is_named(admin, store):
    job = await submit(admin, "q")
    await admin.post("/admin/api/queue/pause")
    assert "queue_paused" in await codes(admin, job)
    store.set(keys.PAUSED, json.dumps({"since": 1_700_000_000_000, "by": "ops"}))
    assert "by ops since 2023" in (await codes(admin, job))["queue_paused"]["message"]
    store.delete(keys.PAUSED, keys.SLOTS)
    assert (await codes(admin, job)).keys() == {"no_worker", "place"}
    store.hset(keys.UPSTREAM, mapping={"refused": 3, "code": "billing_error", "since": 1, "probe": 1 << 50})
    store.set(keys.NOT_BEFORE, "rate_limited", px=60_000)
    assert {"billing_error", "rate_limited"} <= (await codes(admin, job)).keys()


async def test_a_turn_in_a_session_names_the_job_before(admin, server):
    first = await submit(admin, "one", session=True)
    await run(server.url)
    second = await submit(admin, "two", sessionId=first)
    third = await submit(admin, "three", sessionId=first)
    found = await codes(admin, third)
    assert (found["session"]["jobId"], found.keys()) == (second, {"session"})
    assert (await admin.get(f"/admin/api/jobs/{third}")).json()["sessionId"] == first


async def test_a_delay_is_explained(admin, server, store):
    later = await submit(admin, "later", runAt="2027-06-01T00:00:00Z")
    assert "2027-06-01" in (await codes(admin, later))["run_at"]["message"]
    job = await submit(admin, "q")
    store.zrem(keys.WAITING, job)
    delayed = {"state": "delayed", "due": 1_800_000_000_123, "attempts": 1, "tried": "1 2 overloaded 1 {}"}
    store.hset(keys.job(job), mapping=delayed)
    assert "overloaded" in (await codes(admin, job))["retry"]["message"]
    store.hset(keys.job(job), mapping={"due": 86_400_000 * 30_000, "attempts": 0})
    assert "budget" in await codes(admin, job)


async def test_a_callers_own_limit_is_named(connect, server, store):
    client = await connect(**ON, AUTH_ENABLED="true")
    client.headers.update(basic())
    one = await callers.create(async_client(server.url), "one", policy=policies.parse('{"maxActive": 1}'))
    keyed = {"X-API-Key": one.key, "Authorization": ""}
    store.zadd(keys.SLOTS, {"host-1-1": 4_000_000_000})
    jobs = [(await client.post("/api/query", json={"query": "q"}, headers=keyed)).json()["jobId"] for _ in range(2)]
    await take(server.url, "host-1-1")
    assert await run(server.url) is None  # the second is held
    assert "already runs 1 jobs" in (await codes(client, jobs[1]))["caller_active"]["message"]


async def test_an_ended_job_waits_for_nothing(admin, server):
    job = await submit(admin, "q")
    await run(server.url, ERROR)
    assert await codes(admin, job) == {}
