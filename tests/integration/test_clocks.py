"""Hosts with wrong clocks: no time that two hosts compare depends on their own clock."""

import json
import time
from contextlib import contextmanager

import pytest
import redis

from functions.status.tick import tick
from shared.store import keys
from shared.store.callers import callers, spending
from shared.store.fleet import counters, series, slots, workers
from shared.store.jobs import operations
from shared.store.redis import clock
from shared.store.redis.client import async_client, close_clients
from shared.store.webhooks import signing_secrets

SKEWS = [-40.0, 40.0, -100_000.0, 100_000.0]


@pytest.fixture
def host(monkeypatch):
    """Run with a clock that is wrong by some seconds."""
    right, right_ns = time.time, time.time_ns

    @contextmanager
    def host(skew):
        monkeypatch.setattr(time, "time", lambda: right() + skew)
        monkeypatch.setattr(time, "time_ns", lambda: right_ns() + int(skew * 1e9))
        yield
        monkeypatch.setattr(time, "time", right)
        monkeypatch.setattr(time, "time_ns", right_ns)

    return host


@pytest.fixture
async def api(connect):
    return await connect(AUTH_ENABLED="false")


@pytest.fixture(autouse=True)
async def _closed():
    yield
    await close_clients()


async def say(server):
    await slots.send_heartbeat(async_client(server.url), "host-1-1")
    with redis.Redis(port=server.port) as connection:
        workers.announce(connection, workers.Worker("host-1", None, "api_key", 1))


@pytest.mark.parametrize("skew", SKEWS)
async def test_a_host_with_another_clock_sees_a_live_worker(api, server, host, skew):
    await say(server)
    with host(skew):
        assert (await api.get("/health")).json()["status"] == "ok"
        assert (await tick())["Slots"] == 1
        assert slots.count_live(redis.Redis(port=server.port), "host") == 1


@pytest.mark.parametrize("skew", SKEWS)
async def test_a_worker_with_another_clock_counts_as_alive_for_as_long(api, server, store, host, skew):
    with host(skew):
        await say(server)
    assert (await api.get("/health")).json()["status"] == "ok"
    dead_in = float(store.zscore(keys.SLOTS, "host-1-1")) - time.time()
    assert 10 < dead_in < 16
    assert abs(json.loads(store.hget(keys.WORKERS, "host-1"))["at"] / 1000 - time.time()) < 5


@pytest.mark.parametrize("skew", SKEWS)
async def test_a_dead_worker_is_seen_by_a_host_with_another_clock(api, server, store, host, skew):
    store.zadd(keys.SLOTS, {"host-1-1": time.time() - 1})
    entry = {"name": "host-1", "cli": None, "credentials": "api_key", "slots": 1, "at": (time.time() - 16) * 1000}
    store.hset(keys.WORKERS, "host-1", json.dumps(entry))
    with host(skew):
        seen = (await api.get("/health")).json()
        assert (seen["reason"], seen["workers"], seen["slots"]) == ("no_worker", 0, 0)
        assert (await tick())["Slots"] == 0
        assert slots.count_live(redis.Redis(port=server.port), "host") == 0
        assert (await counters.read(async_client(server.url))).slots == {}


async def test_slots_without_their_worker_are_not_ok(api, server):
    await slots.send_heartbeat(async_client(server.url), "host-1-1")
    assert (await api.get("/health")).json()["reason"] == "no_worker"


async def test_the_list_of_slots_and_workers_does_not_grow(api, server, store):
    store.zadd(keys.SLOTS, {"old": time.time() - 70})
    store.hset(keys.WORKERS, "old", json.dumps({"at": (time.time() - 70) * 1000}))
    await say(server)
    assert store.zrange(keys.SLOTS, 0, -1) == ["host-1-1"]
    assert store.hkeys(keys.WORKERS) == ["host-1"]


@pytest.mark.parametrize("skew", SKEWS)
async def test_a_finished_job_is_readable_until_it_expires(api, store, host, skew):
    job = (await api.post("/api/query", json={"query": "q"})).json()["jobId"]
    assert (await api.delete(f"/api/query/{job}")).status_code == 200
    record = f"cg:job:{job}"
    for left, status in ((30, 200), (-30, 404)):
        store.hset(record, "expires", int((time.time() + left) * 1000))
        with host(skew):
            assert (await api.get(f"/api/query/{job}")).status_code == status
            listed = (await api.get("/api/query")).json()["jobs"]
            assert [one["jobId"] for one in listed] == ([job] if status == 200 else [])


@pytest.mark.parametrize("skew", SKEWS)
async def test_usage_and_the_last_hour_follow_the_clock_of_the_store(api, server, store, host, skew):
    client = async_client(server.url)
    now = await clock.now(client)
    store.hset(f"cg:spend:anonymous:{now // 86_400_000}", mapping={"cost": "1.5", "jobs": "1"})
    store.hset(f"cg:spend::{now // 86_400_000}", mapping={"by:anonymous": "1.5"})
    store.hset(f"cg:minute:{now // 60_000}", "completed", 2)
    with host(skew):
        assert (await api.get("/api/usage?days=1")).json()["totalUsd"] == 1.5
        assert await spending.by_caller_today(client) == {"anonymous": 1.5}
        hour = await series.read(client, "1h")
    assert len(hour) == 60
    assert hour[0].at == hour[-1].at - 59 * 60_000
    assert sum(minute.ended["completed"] for minute in hour) == 2


@pytest.mark.parametrize("skew", SKEWS)
async def test_a_replaced_secret_signs_for_a_day(api, server, store, host, skew):
    client = async_client(server.url)
    [old] = await signing_secrets.of_gateway(client)
    with host(skew):
        new = await signing_secrets.rotate(client, keys.ANONYMOUS)
        assert await signing_secrets.of_gateway(client) == [new, old]
    stored = store.get(keys.secret(keys.ANONYMOUS))
    now = await clock.now(client)
    assert signing_secrets.valid(stored, now + 86_000_000) == [new, old]
    assert signing_secrets.valid(stored, now + 86_500_000) == [new]


async def test_a_key_is_created_by_the_clock_of_the_store(api, server, host):
    client = async_client(server.url)
    with host(40):
        await callers.create(client, "a")
    [caller] = await callers.every(client)
    assert abs(caller.created - await clock.now(client)) < 5000


@pytest.mark.parametrize("skew", SKEWS)
async def test_cached_answers_are_counted_by_the_clock_of_the_store(api, server, store, host, skew):
    store.zadd(keys.CACHED, {"fresh": (time.time() + 10) * 1000, "stale": (time.time() - 10) * 1000})
    with host(skew):
        assert await operations.cached_answers(async_client(server.url)) == 1


async def test_a_status_is_read_in_one_round_trip_with_the_time(api, round_trips):
    job = (await api.post("/api/query", json={"query": "q"})).json()["jobId"]
    round_trips.clear()
    assert (await api.get(f"/api/query/{job}")).status_code == 200
    assert (await api.get("/health")).status_code == 200
    assert len(round_trips) <= 3  # the server may not know the script of health yet
