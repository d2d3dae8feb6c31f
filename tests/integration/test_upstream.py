"""Refusals by Claude hold the queue; tests set the clock of the probes."""

from typing import Literal

import pytest
import redis

from shared.store import keys
from shared.store.fleet import slots, workers
from shared.store.jobs import claims, records
from shared.store.redis.client import async_client
from tests.support.slot import RESULT, pop, take

REFUSED = claims.Upstream("refused", "authentication_failed")
ANSWERED = claims.Upstream("answered")
ERROR = {"error": {"code": "authentication_failed", "message": "no", "retryable": False}}


@pytest.fixture
async def six(connect, server):
    client = await connect()
    submitted = [(await client.post("/api/query", json={"query": f"q{number}"})).json() for number in range(6)]
    return client, [answer["jobId"] for answer in submitted]


async def run(url, upstream):
    """Do what a slot does with the next job; return its id and the reply to its settlement."""
    claim = await take(url)
    return claim.job_id, await end(url, claim, upstream)


async def end(url, claim, upstream):
    state: Literal["completed", "failed"] = "completed" if upstream is ANSWERED else "failed"
    outcome = {"result": RESULT} if upstream is ANSWERED else ERROR
    settlement = claims.finish(claim, state, outcome, keep_for=60, upstream=upstream)
    return await claims.settle(async_client(url), settlement)


async def test_three_refusals_in_a_row_hold_the_queue_and_a_probe_opens_it(six, server, store):
    client, ids = six
    for job_id in ids[:3]:
        assert await run(server.url, REFUSED) == (job_id, "settled")
    assert pop(server.url) is None
    health = (await client.get("/health")).json()
    assert (health["reason"], health["waiting"]) == ("no_worker", 3)
    await slots.send_heartbeat(async_client(server.url), "host-1-1")
    with redis.Redis(port=server.port) as connection:
        workers.announce(connection, workers.Worker("host-1", None, "api_key", 1))
    health = (await client.get("/health")).json()
    assert (health["status"], health["reason"]) == ("degraded", "authentication_failed")

    store.hset(keys.UPSTREAM, "probe", 0)
    # The refused probe is not lost, and not the next one.
    assert await run(server.url, REFUSED) == (ids[3], "held")
    assert pop(server.url) is None
    aside = (await client.get(f"/api/query/{ids[3]}")).json()
    assert (aside["state"], aside["attempts"], aside["startedAt"]) == ("delayed", 0, None)
    store.hset(keys.UPSTREAM, "probe", 0)
    assert await run(server.url, ANSWERED) == (ids[4], "settled")
    assert await run(server.url, ANSWERED) == (ids[5], "settled")
    assert (await client.get("/health")).json()["status"] == "ok"
    store.zadd(keys.DELAYED, {ids[3]: 0})
    assert await run(server.url, ANSWERED) == (ids[3], "settled")


async def test_one_probe_at_a_time(six, server, store):
    for _ in range(3):
        await run(server.url, REFUSED)
    store.hset(keys.UPSTREAM, "probe", 0)
    assert pop(server.url) is not None
    assert pop(server.url) is None


async def test_refusals_that_are_not_in_a_row_hold_nothing(six, server):
    for upstream in (REFUSED, REFUSED, ANSWERED, REFUSED, REFUSED, ANSWERED):
        assert (await run(server.url, upstream))[1] == "settled"


async def test_a_job_running_when_the_queue_is_held_is_delayed(six, server):
    running = await take(server.url, "another slot")
    for _ in range(3):
        await run(server.url, REFUSED)
    assert await end(server.url, running, REFUSED) == "held"
    job = await records.read(async_client(server.url), running.job_id, keys.ANONYMOUS)
    assert job is not None
    assert job.record["state"] == "delayed"
    assert await end(server.url, running, REFUSED) == "held", "told again after a lost reply"


async def test_a_rate_limit_holds_all_starts_and_is_never_shortened(six, server, store):
    for wait in (60_000, 1000):
        claim = pop(server.url) if wait == 60_000 else None
        if claim:
            first = claim
            await claims.take(async_client(server.url), claim, "slot")
        limited = claims.Upstream("limited", "rate_limited", wait)
        await claims.settle(async_client(server.url), claims.retry(first, 0, "rate_limited", limited))
    assert pop(server.url) is None
    assert store.pttl(keys.NOT_BEFORE) > 50_000
    store.delete(keys.NOT_BEFORE)
    assert pop(server.url) is not None
