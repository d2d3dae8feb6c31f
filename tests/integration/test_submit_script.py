"""The submit script on a real Redis: whole or not at all, one round trip, and nothing left behind."""

import json
import re

import pytest

from functions.worker.jobs.heartbeat import Heartbeat
from shared.api.ids import new_id
from shared.http import callers as http_callers
from shared.store import keys
from shared.store.callers import callers
from shared.store.jobs import claims, events, maintenance, operations, records
from shared.store.redis.client import async_client
from tests.support.gateway import ROOT
from tests.support.lossy_proxy import LossyProxy
from tests.support.slot import ERROR, RESULT, pop, pop_one, run, take


def milliseconds(store):
    seconds, micro = store.time()
    return seconds * 1000 + micro // 1000


def retry_of(claim):
    return claims.retry(claim, 0, "server_error", claims.Upstream())


async def test_a_lost_reply_leaves_one_complete_job(connect, server, store):
    with LossyProxy(server.port) as proxy:
        client = await connect(proxy.url)
        await client.post("/api/query", json={"query": "connect first"})
        proxy.lose(b"one whole job")
        answer = await client.post("/api/query", json={"query": "one whole job"})
        assert proxy.lost == 1
        assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert store.zcard(keys.WAITING) == 2
    assert json.loads(store.get(keys.job_input(answer.json()["jobId"])))["query"] == "one whole job"


async def test_a_lost_reply_to_a_keyed_submission_is_not_a_replay(connect, server, store):
    with LossyProxy(server.port) as proxy:
        client = await connect(proxy.url)
        await client.post("/api/query", json={"query": "connect first"})
        proxy.lose(b"keyed and lost")
        answer = await client.post("/api/query", json={"query": "keyed and lost"}, headers={"Idempotency-Key": "k"})
        assert proxy.lost == 1
    assert answer.status_code == 202
    assert "idempotent-replayed" not in answer.headers
    assert store.zcard(keys.WAITING) == 2


async def test_a_lost_reply_to_a_joiner_joins_once(connect, server, store):
    with LossyProxy(server.port) as proxy:
        client = await connect(proxy.url, DEDUP_ENABLED="true")
        leader = (await client.post("/api/query", json={"query": "joined"})).json()["jobId"]
        proxy.lose(b"joined")
        answer = await client.post("/api/query", json={"query": "joined"})
        assert proxy.lost == 1
    assert answer.json()["jobId"] == leader
    assert list(store.hgetall(f"cg:job:{leader}:joined")) == [answer.json()["requestId"]]


TABLE = re.findall(r"^\| ([a-z, ]+) \| (\d) \|$", (ROOT / "docs" / "performance.md").read_text(), re.MULTILINE)


def test_the_table_of_round_trips_exists():
    assert len(TABLE) == 9


@pytest.mark.parametrize(("what", "trips"), TABLE)
async def test_round_trips_match_the_table(connect, server, round_trips, what, trips):
    client = await connect(AUTH_ENABLED="true" if "key" in what else "false")
    headers = {}
    if "key" in what:
        headers["X-API-Key"] = (await callers.create(async_client(server.url), "c")).key
    made = (await client.post("/api/query", json={"query": "x"}, headers=headers)).json()["jobId"]
    if what == "submit, key not cached":
        http_callers._cache.clear()
    if what == "wait, ended":
        await run(server.url)
    # The first call of each script also loads it; and health has its own connection.
    await client.get("/health")
    await client.get("/api/query", headers=headers)
    await client.delete(f"/api/query/{new_id()}", headers=headers)
    if what == "submit, key not cached":
        http_callers._cache.clear()

    round_trips.clear()
    calls = {
        "submit": lambda: client.post("/api/query", json={"query": "y"}, headers=headers),
        "status": lambda: client.get(f"/api/query/{made}"),
        "wait": lambda: client.get(f"/api/query/{made}?wait=5"),
        "list": lambda: client.get("/api/query"),
        "cancel": lambda: client.delete(f"/api/query/{made}"),
        "health": lambda: client.get("/health"),
        "steps": lambda: client.get(f"/api/query/{made}/steps"),
    }
    answer = await calls[what.partition(",")[0]]()
    assert answer.status_code < 300
    assert len(round_trips) == int(trips)


async def test_text_and_steps_share_a_round_trip_with_the_lease(connect, server, round_trips):
    client = await connect(AUTH_ENABLED="false")
    job = (await client.post("/api/query", json={"query": "x"})).json()["jobId"]
    claim, handle = pop_one(server.url), async_client(server.url)
    assert await claims.take(handle, claim, "slot")
    heartbeat = Heartbeat(handle, claim, list)
    await heartbeat.close()  # the first call also loads the script
    heartbeat.add_text("Let me look. ")
    heartbeat.add_step("t1", '{"id": "t1"}', is_new=True)
    heartbeat.add_step("t1", '{"id": "t1"}', is_new=False)
    heartbeat.add_text("Done.")
    round_trips.clear()
    await heartbeat.flush()
    assert len(round_trips) == 1
    found = [event.kind for event in await events.since(handle, job, events.FIRST, 10)]
    assert found[-4:] == ["delta", "step", "step", "delta"]


async def test_the_cache_counts_what_it_saved(connect, server, store):
    client = await connect()
    await client.post("/api/query", json={"query": "dear"})
    await run(server.url)
    for _ in range(3):
        assert (await client.post("/api/query", json={"query": "dear"})).json()["status"] == "cached"
    counted = store.hgetall(keys.COUNTERS)
    assert (counted["cache_hits"], counted["cache_misses"], counted["cache_saved_usd"]) == ("3", "1", "0.75")


async def test_all_that_joined_see_the_same_failure(connect, server):
    client = await connect(DEDUP_ENABLED="true")
    answers = [(await client.post("/api/query", json={"query": "fails"})).json() for _ in range(3)]
    await run(server.url, ERROR)
    seen = [(await client.get(f"/api/query/{answer['jobId']}")).json()["error"] for answer in answers]
    assert seen == [ERROR["error"]] * 3


async def test_a_vanished_leader_does_not_block_the_next(connect, store):
    client = await connect(DEDUP_ENABLED="true")
    leader = (await client.post("/api/query", json={"query": "ghost"})).json()["jobId"]
    store.delete(keys.job(leader))
    store.zrem(keys.WAITING, leader)
    assert (await client.post("/api/query", json={"query": "ghost"})).json()["status"] == "queued"


async def test_nothing_is_left_of_a_job_whose_time_is_over(connect, server, store):
    client = await connect(DEDUP_ENABLED="true", CACHE_TTL="0")
    before = set(store.keys())
    answer = await client.post("/api/query", json={"query": "gone", "metadata": {"a": "b"}})
    job_id = answer.json()["jobId"]
    await client.post("/api/query", json={"query": "gone"})
    await run(server.url, keep_for=0)
    assert (await client.get(f"/api/query/{job_id}")).status_code == 404
    assert (await client.get("/api/query")).json()["jobs"] == []
    assert maintenance.forget_expired(store) == 1
    assert pop(server.url) is None
    left = {
        key
        for key in store.scan_iter()
        if not key.startswith(("cg:minute:", "cg:hour:", "cg:spend:", "cg:usage:", "cg:users:"))
    } - before
    # The counters of a minute and of a day, and the queue's own keys stay.
    assert not any(job_id in key for key in left)
    assert left <= {keys.DEPLOYMENT, keys.SPOOL_KEY, keys.SEQUENCE, keys.WAKE, keys.COUNTERS}


async def test_memory_is_flat_over_many_short_jobs(connect, server, store):
    client = await connect(CACHE_TTL="0")

    async def many(count):
        for number in range(count):
            await client.post("/api/query", json={"query": f"q {number}"})
            await run(server.url, keep_for=0)
            maintenance.forget_expired(store)
        return len([key for key in store.scan_iter() if not key.startswith(("cg:minute:", "cg:hour:"))])

    assert await many(20) == await many(200)


async def test_a_full_store_refuses_new_jobs_and_ends_old_ones(connect, server, store):
    client = await connect()
    accepted = (await client.post("/api/query", json={"query": "before"})).json()["jobId"]
    handle = async_client(server.url)
    claim = await take(server.url)
    store.config_set("maxmemory", "1")
    store.config_set("maxmemory-policy", "noeviction")
    try:
        refused = await client.post("/api/query", json={"query": "too much"})
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert refused.headers["retry-after"]
        ended = claims.finish(claim, "completed", {"result": RESULT}, keep_for=60)
        assert await claims.settle(handle, ended) == "settled"
        assert (await client.get(f"/api/query/{accepted}")).json()["state"] == "completed"
    finally:
        store.config_set("maxmemory", "0")
    assert store.zcard(keys.WAITING) == 0


async def test_jobs_start_in_queue_order_whichever_slot_claims_first(connect, server, store):
    client = await connect()
    handle = async_client(server.url)
    popped = []
    for query in ("first", "second"):
        await client.post("/api/query", json={"query": query})
        popped.append(pop_one(server.url))
        then = milliseconds(store)
        while milliseconds(store) == then:
            pass
    for claim in reversed(popped):
        await claims.take(handle, claim, f"slot {claim.job_id}")
    first, second = [(await client.get(f"/api/query/{claim.job_id}")).json()["startedAt"] for claim in popped]
    assert first < second


async def test_the_fence_stops_a_slot_that_was_given_up(connect, server):
    client = await connect()
    job_id = (await client.post("/api/query", json={"query": "x"})).json()["jobId"]
    handle = async_client(server.url)
    first = await take(server.url, "slot 1")
    assert await claims.settle(handle, claims.hand_back(first)) == "settled"
    assert await run(server.url) == job_id
    before = await records.read(handle, job_id, keys.ANONYMOUS)
    assert await claims.take(handle, first, "slot 1") is None
    assert not await claims.renew(handle, first, 50)
    late = [claims.finish(first, "failed", ERROR, keep_for=1), claims.hand_back(first), retry_of(first)]
    assert [await claims.settle(handle, settlement) for settlement in late] == ["void"] * 3
    assert await records.read(handle, job_id, keys.ANONYMOUS) == before


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 200_000])
async def test_a_result_of_any_size_is_read_whole(connect, server, size):
    client = await connect()
    made = (await client.post("/api/query", json={"query": "long"})).json()["jobId"]
    response = "e" * (size - len(json.dumps({**RESULT, "response": ""})))
    await run(server.url, {"result": {**RESULT, "response": response}})
    assert (await client.get(f"/api/query/{made}")).json()["result"]["response"] == response


async def test_an_answer_missing_a_server_is_not_cached(connect, server, store):
    client = await connect(CACHE_TTL="60")
    job = (await client.post("/api/query", json={"query": "less"})).json()["jobId"]
    await run(server.url, ERROR, absent=["tickets"])
    assert store.hget(keys.job(job), "absent") == '["tickets"]'
    await operations.retry(async_client(server.url), job)
    await run(server.url)
    assert store.hget(keys.job(job), "absent") is None
    assert (await client.post("/api/query", json={"query": "less"})).json()["status"] == "cached"

    await client.post("/api/query", json={"query": "less again"})
    await run(server.url, absent=["tickets"])
    assert (await client.post("/api/query", json={"query": "less again"})).json()["status"] == "queued"
