"""The overview of the dashboard's API: what is wrong, what waits, who runs what, and what jobs did over time."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from shared.store import keys
from shared.store.callers import callers, policies
from shared.store.fleet import series, slots, workers
from shared.store.jobs import claims, operations, waiting
from shared.store.redis.client import async_client, sync_client
from tests.integration.test_admin import ON, PASSWORD, basic, submit
from tests.support.slot import ERROR, pop, run, take

SLOT, WORKER = "host-7-ab-1", "host-7-ab"


@pytest.fixture
async def admin(connect):
    client = await connect(**ON)
    client.headers.update(basic())
    return client


@pytest.fixture
def alive(server, store):
    """A worker that has announced itself."""
    with sync_client(server.url) as client:
        workers.announce(client, workers.Worker(WORKER, "1", "api_key", 1))


async def overview(admin, span="1h"):
    answer = await admin.get("/admin/api/overview", params={"span": span})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def codes(admin):
    return [one["code"] for one in (await overview(admin))["causes"]]


async def test_nothing_is_wrong_with_an_idle_gateway(admin, alive):
    assert await codes(admin) == []


@pytest.mark.parametrize(("span", "points", "step"), [("1h", 60, 60), ("24h", 24, 3600), ("7d", 168, 3600)])
async def test_waits_runs_and_ends_are_counted_over_time(admin, server, span, points, step):
    """Catches an end that a span leaves out, and a code that is counted with another."""
    for outcome in (None, ERROR, ERROR):
        await submit(admin, f"q {outcome}", cache={"mode": "bypass"})
        await run(server.url, outcome)
    job = await submit(admin, "cancelled")
    await admin.delete(f"/api/query/{job}")
    found = (await overview(admin, span))["series"]
    assert (found["span"], found["stepSeconds"], len(found["points"])) == (span, step, points)
    assert found["ended"] == {"completed": 1, "failed": 2, "cancelled": 1}
    assert found["errors"] == {"server_error": 2}
    assert 0 < found["waitMs"]["p50"] <= found["waitMs"]["p95"] <= found["waitMs"]["p99"] < 60_000
    assert found["runMs"]["p99"] is not None
    # The first of these jobs may have ended in the minute before.
    assert sum(one["failed"] for one in found["points"][-2:]) == 2


async def test_an_unknown_span_is_refused(admin):
    answer = await admin.get("/admin/api/overview", params={"span": "1y"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_series_expire(admin, server, store):
    """Catches a series that grows for ever."""
    await submit(admin, "q")
    await run(server.url)
    [minute], [hour] = list(store.scan_iter("cg:minute:*")), list(store.scan_iter("cg:hour:*"))
    assert 0 < store.ttl(minute) <= 7200
    assert 7200 < store.ttl(hour) <= 8 * 86_400


@pytest.mark.parametrize("ms", [1, 2, 3, 10, 500, 1000, 60_000, 3_600_000])
async def test_a_percentile_is_near_the_duration(admin, server, store, ms):
    """Catches a bucket that the script and Python bound in different ways."""
    job = await submit(admin, f"took {ms}", cache={"mode": "bypass"})
    claim = await take(server.url)
    for name in ("started", "created"):
        store.hset(keys.job(job), name, int(store.hget(keys.job(job), name)) - ms)
    await claims.settle(async_client(server.url), claims.finish(claim, "failed", ERROR, keep_for=60))
    [point] = [one for one in await series.read(async_client(server.url), "24h") if one.runs]
    found = series.percentiles(point.runs, [1])[0] or 0
    assert ms <= found + 1
    assert found <= (ms + 1000) * 1.5  # the commands above take time too


async def test_the_queue_is_shown_by_priority_and_by_caller(admin, server, store):
    made = await callers.create(async_client(server.url), "reports")
    admin.headers["X-API-Key"] = made.key
    for number in range(3):
        await submit(admin, f"low {number}", priority="low")
    await submit(admin, "high", priority="high")
    found = (await overview(admin))["queue"]
    assert found["byPriority"] == {"high": 1, "normal": 0, "low": 3}
    assert sum(one["waiting"] for one in found["byCaller"]) == 4
    assert found["jobs"]["waiting"] == 4


async def test_a_pause_shows_since_when_and_by_whom(admin, store, alive):
    await admin.post("/admin/api/queue/pause")
    first = (await overview(admin))["queue"]["hold"]
    assert (first["reason"], first["by"], first["until"]) == ("paused", "admin", None)
    await admin.post("/admin/api/queue/pause")
    assert (await overview(admin))["queue"]["hold"] == first  # a second pause changes nothing
    assert await codes(admin) == ["paused"]
    await admin.post("/admin/api/queue/resume")
    assert (await overview(admin))["queue"]["hold"] is None


async def test_a_pause_of_an_earlier_version_is_shown(admin, store, alive):
    store.set(keys.PAUSED, "1")
    assert (await overview(admin))["queue"]["hold"] == {"reason": "paused", "since": None, "until": None, "by": None}


async def test_a_slot_shows_its_job_memory_and_last_heartbeat(admin, server, store):
    await slots.send_heartbeat(async_client(server.url), SLOT, 5_000_000)
    job = await submit(admin, "q")
    await take(server.url, SLOT)
    [slot] = (await overview(admin))["slots"]
    assert slot["elapsedMs"] >= 0
    assert slot["lastSeenMs"] < 15_000
    expected = {"slot": SLOT, "host": "host", "live": True, "memoryBytes": 5_000_000, "jobId": job, "waitingFor": None}
    assert slot.items() >= expected.items()
    await slots.leave(async_client(server.url), SLOT)
    assert (await overview(admin))["slots"] == []
    assert not store.exists(slots.MEMORY)


async def test_an_overloaded_claude_is_named(admin, server, alive):
    await slots.send_heartbeat(async_client(server.url), SLOT)
    await submit(admin, "q")
    claim = await take(server.url, SLOT)
    await waiting.note(async_client(server.url), claim, waiting.Waiting("overloaded", 1_700_000_000_000, 0), [])
    [cause] = (await overview(admin))["causes"]
    assert cause["text"] == "Claude is overloaded: 1 of 1 running jobs waits for it"
    assert cause["since"] == "2023-11-14T22:13:20.000Z"


@pytest.mark.parametrize("refusals", [1, 3])
async def test_refused_credentials_are_named_before_the_queue_is_held(admin, server, alive, refusals):
    for number in range(refusals):
        await submit(admin, f"q {number}")
        claim = await take(server.url)
        error = {"error": {"code": "authentication_failed", "message": "no", "retryable": False}}
        finish = claims.finish(claim, "failed", error, keep_for=60, upstream=claims.Upstream("refused"))
        await claims.settle(async_client(server.url), finish)
    assert (await codes(admin))[0] == "credentials_refused"
    hold = (await overview(admin))["queue"]["hold"]
    assert (hold is not None) == (refusals == 3)


async def test_a_rate_limit_is_named_with_its_end(admin, server, store, alive):
    await submit(admin, "q")
    claim = await take(server.url)
    await waiting.note(async_client(server.url), claim, None, [], hold=60_000)
    await waiting.note(async_client(server.url), claim, None, [], hold=90_000)
    hold = (await overview(admin))["queue"]["hold"]
    assert hold["reason"] == "rate_limited"
    assert hold["since"] < hold["until"]
    assert await codes(admin) == ["rate_limited"]


async def test_a_caller_that_floods_the_queue_is_named(connect, server, alive):
    client = await connect(**ON, AUTH_ENABLED="true", MAX_QUEUE_DEPTH="1000")
    flood = await callers.create(async_client(server.url), "nightly")
    other = await callers.create(async_client(server.url), "other")
    for number in range(30):
        key = flood.key if number < 25 else other.key
        answer = await client.post("/api/query", json={"query": f"{number}"}, headers={"X-API-Key": key})
        assert answer.status_code == 202
    client.headers.update(basic())
    [cause] = (await overview(client))["causes"]
    assert cause["text"] == "The caller nightly floods the queue: 25 of 30 waiting jobs are its"
    assert [one["name"] for one in (await overview(client))["queue"]["byCaller"]] == ["nightly", "other"]


@pytest.mark.parametrize(
    ("depth", "text"), [(10, "The queue is full: new jobs are refused"), (11, "The queue is 91% full")]
)
async def test_a_full_queue_is_named(connect, alive, depth, text):
    """Catches delayed jobs that are left out: they count in MAX_QUEUE_DEPTH too."""
    client = await connect(**ON, MAX_QUEUE_DEPTH=str(depth))
    client.headers.update(basic())
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for number in range(10):
        await submit(client, f"{number}", runAt=tomorrow)
    [cause] = (await overview(client))["causes"]
    assert (cause["code"], cause["text"]) == ("queue_full", text)


async def test_turns_of_a_session_are_no_more_than_all_jobs(admin, server, store, alive):
    """Catches a caller with more waiting jobs than there are."""
    store.rpush(f"{keys.transcripts('anonymous')}:-:s", "{}")
    for number in range(25):
        await submit(admin, f"{number}", sessionId="s")
    texts = [one["text"] for one in (await overview(admin))["causes"]]
    assert texts == ["The caller anonymous floods the queue: 25 of 25 waiting jobs are its"]


async def test_jobs_that_wait_for_their_callers_own_jobs_are_seen(connect, server, store, alive):
    """Catches a caller of which every waiting job is held, and so none has a place in the queue."""
    client = await connect(**ON, AUTH_ENABLED="true")
    made = await callers.create(async_client(server.url), "busy")
    await policies.put(async_client(server.url), made.id, policies.parse('{"maxActive": 1}'))
    for number in range(4):
        await client.post("/api/query", json={"query": f"{number}"}, headers={"X-API-Key": made.key})
    await take(server.url)
    assert pop(server.url) is None
    assert store.zcard(keys.HELD) == 3
    client.headers.update(basic())
    found = (await overview(client))["queue"]
    assert found["byPriority"]["normal"] == 3
    assert [(one["name"], one["waiting"], one["active"]) for one in found["byCaller"]] == [("busy", 3, 1)]


async def test_a_worker_that_stops_reporting_is_named(admin, store):
    now, _ = store.time()
    entry = {"name": WORKER, "cli": "1", "credentials": "api_key", "slots": 1, "at": now * 1000 - 9000}
    store.hset(keys.WORKERS, WORKER, json.dumps(entry))
    assert await codes(admin) == ["worker_stale"]
    store.hset(keys.WORKERS, WORKER, json.dumps({**entry, "at": now * 1000 - 20_000}))
    assert await codes(admin) == ["no_worker", "worker_stale"]


async def test_a_slot_that_stops_reporting_is_named(admin, store, alive):
    now, _ = store.time()
    store.zadd(keys.SLOTS, {SLOT: now + 5})
    assert await codes(admin) == ["slot_stale"]
    store.delete(keys.SLOTS)
    store.zadd(keys.SLOTS, {"other-1-cd-1": now + 5})  # of a worker that has ended
    assert await codes(admin) == []


async def test_a_full_redis_is_named_and_the_rest_is_shown(admin, server, store, alive):
    """Catches an overview that fails when Redis refuses the write by which it finds out."""
    login = {"username": "admin", "password": PASSWORD}
    answer = await admin.post("https://gateway/admin/login", json=login)
    del admin.headers["Authorization"]
    admin.headers["Cookie"] = answer.headers["set-cookie"].partition(";")[0]
    admin.cookies.clear()
    store.config_set("maxmemory", 1)
    try:
        found = await overview(admin)
    finally:
        store.config_set("maxmemory", 0)
    assert [one["code"] for one in found["causes"]] == ["redis_full"]
    assert len(found["series"]["points"]) == 60
    assert await codes(admin) == []


async def test_a_spent_budget_is_named(connect, server, alive):
    client = await connect(**ON, DAILY_BUDGET_USD="0.5")
    client.headers.update(basic())
    for number in range(2):
        await submit(client, f"{number}")
        claim = await take(server.url, budget=0.5)
        spend = json.dumps([{"model": "m", "cost": 0.3, "tokens": {"input": 1}}])
        finish = claims.finish(claim, "failed", ERROR, keep_for=60).model_copy(update={"spend": spend})
        await claims.settle(async_client(server.url), finish)
    found = await overview(client)
    assert found["spend"]["todayUsd"] == pytest.approx(0.6)
    [spender] = found["spend"]["callers"]
    assert (spender["name"], spender["budgetUsd"]) == ("anonymous", 0.5)
    assert "budget_reached" in [one["code"] for one in found["causes"]]


async def test_a_failing_webhook_host_is_named(admin, store, alive):
    for name, failing in (("a.example:443", 2000), ("b.example:443", 1000)):
        store.sadd(keys.FAILING_HOSTS, name)
        store.hset(keys.host(name), mapping={"failing": failing, "failures": 3})
    [cause] = (await overview(admin))["causes"]
    assert cause["text"] == "The webhook host b.example:443 fails: 3 attempts in a row, and 1 more"
    assert (cause["link"], cause["since"]) == ("#/webhooks", "1970-01-01T00:00:01.000Z")


async def test_many_failures_are_named_with_their_code(admin, server, alive):
    for number in range(5):
        await submit(admin, f"{number}")
        await run(server.url, ERROR)
    [cause] = (await overview(admin))["causes"]
    assert cause["text"] == "5 of 5 jobs of the last 10 minutes failed, 5 with server_error"


async def test_the_overview_takes_three_round_trips_at_any_depth(admin, round_trips):
    """Catches a read for each job, caller or point."""

    async def cost(span):
        round_trips.clear()
        await overview(admin, span)
        return len(round_trips)

    for span in ("1h", "7d"):
        await cost(span)
    for number in range(60):
        await submit(admin, f"{number}")
    assert max([await cost(span) for span in ("1h", "24h", "7d")]) <= 3


async def test_resuming_wakes_the_slots(admin, server, store):
    await operations.pause(async_client(server.url), "x")
    await operations.resume(async_client(server.url))
    assert store.llen(keys.WAKE) > 0
