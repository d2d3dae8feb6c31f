"""Submissions that come together are one call of the script, and each is decided as if it were alone."""

import asyncio

import pytest

from shared.api.ids import new_id
from shared.store import keys
from shared.store.jobs import submissions
from shared.store.redis.client import async_client, close_clients
from tests.support.lossy_proxy import LossyProxy
from tests.support.slot import run


@pytest.fixture(autouse=True)
async def _closed():
    yield
    await close_clients()


def submit(client, *, caller="c", **fields):
    submission = submissions.Submission(
        job_id=new_id(), request_id=new_id(), caller=caller, priority=1, timeout_ms=1000, request="{}", **fields
    )
    return submissions.submit(client, submission)


def same(client, **fields):
    """Submit what the cache may answer."""
    return submit(client, fingerprint="f", read_cache=True, cache_ttl=60, **fields)


def calls(store):
    return store.info("commandstats")["cmdstat_evalsha"]["calls"]


@pytest.fixture
async def client(server, store):
    """A client whose script is loaded, and an answer in the cache that saves 0.25 USD."""
    client = async_client(server.url)
    await same(client)
    await run(server.url)
    store.config_resetstat()
    return client


async def test_ten_submissions_of_one_turn_are_three_calls(client, store):
    answers = await asyncio.gather(*(submit(client) for _ in range(10)))
    assert [answer.kind for answer in answers] == ["queued"] * 10
    assert len({answer.job_id for answer in answers}) == 10
    assert calls(store) == 3


async def test_each_gets_its_own_answer(client):
    first, cached, other = await asyncio.gather(
        submit(client, idempotency="i", body="a"), same(client), submit(client, idempotency="i", body="b")
    )
    assert (first.kind, cached.kind, other.kind) == ("queued", "cached", "mismatch")


async def test_one_that_stops_the_script_fails_alone(client, store):
    store.set("cg:jobs:bad:waiting", "not a set")
    answers = await asyncio.gather(submit(client), submit(client, caller="bad"), submit(client), return_exceptions=True)
    assert [getattr(answer, "kind", None) for answer in answers] == ["queued", None, "queued"]
    assert "WRONGTYPE" in str(answers[1])
    assert calls(store) == 1
    assert store.zcard("cg:jobs:c:waiting") == 2


async def test_a_full_store_refuses_all_and_keeps_none(client, store):
    store.config_set("maxmemory", 1)
    try:
        answers = await asyncio.gather(*(submit(client) for _ in range(3)), return_exceptions=True)
    finally:
        store.config_set("maxmemory", 0)
    assert ["used memory" in str(answer) for answer in answers] == [True] * 3
    assert store.zcard(keys.WAITING) == 0


async def test_a_caller_that_leaves_does_not_affect_the_others(client, store):
    tasks = [asyncio.create_task(submit(client)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [getattr(answer, "kind", None) for answer in answers] == ["queued", None, "queued"]


async def test_cached_answers_of_one_call_are_counted_once_each(client, store):
    answers = await asyncio.gather(same(client), same(client, label="k\nt"), same(client), same(client, caller="d"))
    assert [answer.kind for answer in answers] == ["cached"] * 4
    counted = store.hgetall(keys.COUNTERS)
    assert (counted["cache_hits"], counted["cache_saved_usd"]) == ("4", "1")


async def test_a_lost_reply_counts_no_answer_twice(client, server, store):
    with LossyProxy(server.port) as proxy:
        behind = async_client(proxy.url)
        await same(behind)
        proxy.lose(b"label-that-is-lost")
        answers = await asyncio.gather(same(behind), same(behind, label="label-that-is-lost\n"))
        assert proxy.lost == 1
    assert [answer.kind for answer in answers] == ["cached"] * 2
    assert store.hget(keys.COUNTERS, "cache_hits") == "3"
