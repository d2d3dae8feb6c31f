"""Schedules and `runAt` on a real Redis, with the clock of the worker in the test's hand."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from functions.worker.jobs import scheduler
from functions.worker.webhooks.dispatcher import event_of
from shared import due_times
from shared.configuration.settings import SubmitSettings, load
from shared.services import due_schedules
from shared.store import keys
from shared.store.callers import callers
from shared.store.jobs import maintenance, operations
from shared.store.redis.client import async_client, sync_client
from shared.store.schedules import schedules as store_of
from shared.store.webhooks import outbox
from tests.support.slot import ERROR, run

UNKNOWN = "019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22"
NIGHTLY = {"name": "nightly", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "query": {"query": "report"}}
HALF_HOUR = 1_800_000


def ms(text):
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def ahead(**time):
    return (datetime.now(UTC) + timedelta(**time)).isoformat().replace("+00:00", "Z")


class Clocked:
    """A client, and a scheduler whose clock is set by the test."""

    def __init__(self, client, server, monkeypatch):
        self.client, self.url = client, server.url
        self.now = 0
        monkeypatch.setattr(store_of, "due", self._due)

    async def _due(self, client, **_options):
        every, _ = await store_of.page(client, None, limit=100, before=None)
        return store_of.Due(self.now, None, [one for one in every if 0 < one.due <= self.now])

    async def create(self, **fields):
        made = await self.client.post("/api/schedules", json={**NIGHTLY, **fields})
        assert made.status_code == 201, made.text
        return made.json()["scheduleId"]

    async def read(self, schedule):
        return (await self.client.get(f"/api/schedules/{schedule}")).json()

    async def runs(self, schedule):
        return (await self.read(schedule))["runs"]

    async def at(self, time):
        """Let the scheduler look at a time."""
        self.now = ms(time) if isinstance(time, str) else time
        await scheduler.look(load(SubmitSettings))

    def wait_for(self, store, schedule, time):
        """Let a schedule wait for a due time."""
        store.hset(f"cg:schedule:{schedule}", "next", ms(time))


@pytest.fixture
async def clocked(connect, server, monkeypatch):
    return Clocked(await connect(server.url, WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8"), server, monkeypatch)


async def test_a_schedule_says_its_next_five_runs(clocked):
    made = await clocked.client.post("/api/schedules", json={**NIGHTLY, "cron": "@yearly", "timezone": "UTC"})
    shown = made.json()
    year = datetime.now(UTC).year
    assert shown["nextRuns"] == [f"{year + number}-01-01T00:00:00.000Z" for number in range(1, 6)]
    assert (shown["overlap"], shown["catchUp"], shown["paused"], shown["query"]) == (
        "skip",
        "none",
        None,
        {"query": "report"},
    )
    assert made.headers["location"] == f"/api/schedules/{shown['scheduleId']}"
    listed = (await clocked.client.get("/api/schedules")).json()
    assert listed == {"schedules": [shown], "nextCursor": None}
    assert await clocked.read(shown["scheduleId"]) == {**shown, "runs": []}


async def test_due_times_over_a_change_of_the_clocks(clocked, store):
    """Catches a due time that is carried out twice or left out when the clocks change, with looks all the time."""
    schedule = await clocked.create(overlap="queue")
    for begin, hours in (("2026-03-28T00:00Z", 60), ("2026-10-24T00:00Z", 60), ("2028-02-28T22:00Z", 24)):
        store.hset(f"cg:schedule:{schedule}", "next", due_times.first("30 2 * * *", "Europe/Berlin", ms(begin)))
        for number in range(2 * hours):
            await clocked.at(ms(begin) + number * HALF_HOUR + 500)
    due = [one["dueAt"] for one in reversed(await clocked.runs(schedule))]
    assert due == [
        "2026-03-28T01:30:00.000Z", "2026-03-30T00:30:00.000Z",
        "2026-10-24T00:30:00.000Z", "2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z",
        "2028-02-29T01:30:00.000Z",
    ]  # fmt: skip
    jobs = (await clocked.client.get(f"/api/query?schedule={schedule}&limit=100")).json()["jobs"]
    assert len(jobs) == len(due)
    assert {one["scheduleId"] for one in jobs} == {schedule}


async def test_two_workers_make_one_job_of_a_due_time(clocked, store):
    schedule = await clocked.create()
    clocked.wait_for(store, schedule, "2026-05-01T00:30Z")
    await asyncio.gather(*(clocked.at("2026-05-01T00:30:01Z") for _ in range(5)))
    [one] = await clocked.runs(schedule)
    assert (one["state"], one["dueAt"]) == ("waiting", "2026-05-01T00:30:00.000Z")
    assert store.zcard(keys.WAITING) == 1


async def test_a_run_keeps_the_state_duration_and_cost_of_its_job(clocked, store):
    """Catches a run that is forgotten with its job, which is deleted a day later."""
    schedule = await clocked.create()
    clocked.wait_for(store, schedule, "2026-05-01T00:30Z")
    await clocked.at("2026-05-01T00:30:00Z")
    job = await run(clocked.url)
    assert job is not None
    await operations.forget(async_client(clocked.url), job)
    [one] = await clocked.runs(schedule)
    assert (one["state"], one["jobId"], one["error"]) == ("completed", job, None)
    assert one["durationMs"] >= 0
    assert (await clocked.client.get(f"/api/query?schedule={schedule}")).json()["jobs"] == []
    assert store.exists(f"cg:schedule:{schedule}:jobs") == 0


async def test_a_run_is_skipped_while_the_one_before_has_not_ended(clocked, store):
    schedule = await clocked.create()
    for day in (1, 2):
        clocked.wait_for(store, schedule, f"2026-05-0{day}T00:30Z")
        await clocked.at(f"2026-05-0{day}T00:30:00Z")
    second, first = await clocked.runs(schedule)
    assert (second["state"], second["jobId"], first["state"]) == ("skipped", first["jobId"], "waiting")
    await run(clocked.url)
    clocked.wait_for(store, schedule, "2026-05-03T00:30Z")
    await clocked.at("2026-05-03T00:30:00Z")
    assert [one["state"] for one in await clocked.runs(schedule)] == ["waiting", "skipped", "completed"]


async def test_queued_runs_start_one_after_the_other(clocked, store):
    schedule = await clocked.create(overlap="queue")
    for day in (1, 2, 3):
        clocked.wait_for(store, schedule, f"2026-05-0{day}T00:30Z")
        await clocked.at(f"2026-05-0{day}T00:30:00Z")
    jobs = [one["jobId"] for one in reversed(await clocked.runs(schedule))]
    assert len(set(jobs)) == 3
    assert store.zrange(keys.WAITING, 0, -1) == jobs[:1]
    assert [await run(clocked.url) for _ in jobs] == jobs


@pytest.mark.parametrize(
    ("catch_up", "late", "states"),
    [
        ("none", "2026-05-04T00:30:59Z", ["waiting", "missed"]),
        ("none", "2026-05-04T08:00:00Z", ["missed", "missed"]),
        ("last", "2026-05-04T08:00:00Z", ["waiting", "missed"]),
    ],
)
async def test_due_times_that_no_worker_saw(clocked, store, catch_up, late, states):
    schedule = await clocked.create(catchUp=catch_up)
    clocked.wait_for(store, schedule, "2026-05-01T00:30Z")
    await clocked.at(late)
    runs = await clocked.runs(schedule)
    assert [one["state"] for one in runs] == states
    assert [one["dueAt"][:10] for one in runs] == ["2026-05-04", "2026-05-01"]
    assert (await clocked.read(schedule))["nextRuns"][0] == "2026-05-05T00:30:00.000Z"


async def test_a_refused_run_has_its_reason_and_ten_pause_the_schedule(clocked, store, monkeypatch):
    """Catches a policy that holds at the creation alone, and a schedule that fails for ever without a word."""
    query = {"query": "report", "model": "old", "webhookUrl": "http://127.0.0.1:9/hook"}
    schedule = await clocked.create(query=query)
    monkeypatch.setenv("CLAUDE_MODELS", "new")
    load.cache_clear()
    for day in range(1, 12):
        if day < 11:
            clocked.wait_for(store, schedule, f"2026-05-{day:02}T00:30Z")
        await clocked.at(f"2026-05-{day:02}T00:30:00Z")
    shown = await clocked.read(schedule)
    assert (shown["paused"], shown["failures"], shown["nextRuns"]) == ("failures", 10, [])
    assert [one["state"] for one in shown["runs"]] == ["refused"] * 10
    assert shown["runs"][0]["error"] == {
        "code": "invalid_request", "message": "model: should be one of CLAUDE_MODELS: new",
    }  # fmt: skip
    [leased], _ = await outbox.lease(async_client(clocked.url), 10, {}, per_host=10)
    webhook = await outbox.read(async_client(clocked.url), leased)
    assert webhook is not None
    event = json.loads(event_of(webhook).model_dump_json(by_alias=True))
    assert event["type"] == "schedule.paused"
    assert event["data"] == {"scheduleId": schedule, "name": "nightly", "failures": 10, "code": "invalid_request"}
    resumed = (await clocked.client.post(f"/api/schedules/{schedule}/resume")).json()
    assert (resumed["paused"], resumed["failures"], len(resumed["nextRuns"])) == (None, 0, 5)


async def test_failed_jobs_count_until_one_succeeds(clocked, store):
    schedule = await clocked.create(cron="* * * * *", timezone="UTC")
    for number, outcome in enumerate([ERROR] * 9 + [None] + [ERROR] * 10):
        clocked.wait_for(store, schedule, f"2026-05-01T00:{number:02}Z")
        await clocked.at(f"2026-05-01T00:{number:02}:00Z")
        await run(clocked.url, outcome)
        assert (await clocked.read(schedule))["failures"] == (number + 1 if number < 9 else number - 9)
    assert (await clocked.read(schedule))["paused"] == "failures"


async def test_only_the_last_hundred_runs_are_kept(clocked, store):
    schedule = await clocked.create(cron="* * * * *", timezone="UTC")
    held = int(store.hget(keys.BYTES, keys.ANONYMOUS))
    for number in range(103):
        clocked.wait_for(store, schedule, f"2026-05-01T{number // 60:02}:{number % 60:02}Z")
        await clocked.at(f"2026-05-01T{number // 60:02}:{number % 60:02}:00Z")
    runs = await clocked.runs(schedule)
    assert (len(runs), runs[-1]["dueAt"]) == (100, "2026-05-01T00:03:00.000Z")
    assert (await clocked.client.delete(f"/api/schedules/{schedule}")).status_code == 204
    assert int(store.hget(keys.BYTES, keys.ANONYMOUS)) < held + 1000
    left = [name for name in store.keys("cg:schedule*") if not name.endswith(":jobs")]
    assert left == []


async def test_a_change_while_a_run_is_prepared_is_not_overwritten(clocked, store, monkeypatch):
    """Catches a due time that is carried out with a definition that is not in force any more."""
    schedule = await clocked.create()
    clocked.wait_for(store, schedule, "2026-05-01T00:30Z")
    prepare = due_schedules._prepared

    async def slow(*arguments):
        found = await prepare(*arguments)
        await clocked.client.patch(f"/api/schedules/{schedule}", json={"query": {"query": "new"}})
        return found

    monkeypatch.setattr(due_schedules, "_prepared", slow)
    await clocked.at("2026-05-01T00:30:00Z")
    shown = await clocked.read(schedule)
    assert (shown["runs"], shown["query"]) == ([], {"query": "new"})


async def test_pause_resume_and_run_now(clocked, store):
    schedule = await clocked.create()
    path = f"/api/schedules/{schedule}"
    for _ in range(2):
        paused = await clocked.client.post(f"{path}/pause")
        assert (paused.status_code, paused.json()["paused"], paused.json()["nextRuns"]) == (200, "requested", [])
    assert store.zcard("cg:schedules:due") == 0
    made = await clocked.client.post(f"{path}/run", headers={"Idempotency-Key": "a"})
    again = await clocked.client.post(f"{path}/run", headers={"Idempotency-Key": "a"})
    assert (made.status_code, made.json()["status"]) == (202, "queued")
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (made.json(), "true")
    other = await clocked.client.post(f"{path}/run")
    assert other.json()["jobId"] != made.json()["jobId"]
    assert [one["dueAt"] for one in await clocked.runs(schedule)] == [None, None]
    resumed = await clocked.client.post(f"{path}/resume")
    assert len(resumed.json()["nextRuns"]) == 5
    assert store.zcard("cg:schedules:due") == 1


async def test_a_change_keeps_what_it_does_not_name(clocked):
    schedule = await clocked.create(query={"query": "report", "metadata": {"a": "b"}})
    path = f"/api/schedules/{schedule}"
    changed = (await clocked.client.patch(path, json={"cron": "0 6 1 1 *", "timezone": "UTC"})).json()
    assert changed["nextRuns"][0].endswith("-01-01T06:00:00.000Z")
    assert (changed["name"], changed["query"]) == ("nightly", {"query": "report", "metadata": {"a": "b"}})
    for body, place in (
        ({"cron": None}, "/cron"), ({"cron": "x"}, "/cron"), ({"timezone": "Mars"}, "/timezone"),
        ({"nam": "x"}, "/nam"),
        ({"query": {"query": ""}}, "/query/query"), ({"overlap": "both"}, "/overlap"),
    ):  # fmt: skip
        refused = await clocked.client.patch(path, json=body)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, place)


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"cron": "* * * * * *"}, "/cron"), ({"cron": "0 0 30 2 *"}, "/cron"), ({"cron": 5}, "/cron"),
        ({"timezone": "Europe"}, "/timezone"), ({"timezone": ""}, "/timezone"), ({"name": " "}, "/name"),
        ({"query": "text"}, "/query"), ({"query": {"query": "a", "x": 1}}, "/query/x"),
        ({"catchUp": "all"}, "/catchUp"),
        ({"query": {"query": "a", "runAt": "2027-01-01T00:00:00Z"}}, "/query/runAt"),
        ({"query": {"query": "a", "fork": True}}, "/query/fork"), ({"paused": True}, "/paused"),
    ],
)  # fmt: skip
async def test_an_invalid_schedule_is_refused_by_field(clocked, fields, pointer):
    refused = await clocked.client.post("/api/schedules", json={**NIGHTLY, **fields})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer), refused.text


async def test_one_key_makes_one_schedule(clocked):
    first, again = [
        await clocked.client.post("/api/schedules", json=NIGHTLY, headers={"Idempotency-Key": "k"}) for _ in range(2)
    ]
    assert (first.json(), again.headers["Idempotent-Replayed"]) == (again.json(), "true")
    other = {**NIGHTLY, "name": "other"}
    refused = await clocked.client.post("/api/schedules", json=other, headers={"Idempotency-Key": "k"})
    assert refused.json()["code"] == "idempotency_mismatch"


async def test_a_caller_has_its_own_schedules_until_its_key_is_revoked(connect, server, store, monkeypatch):
    client = await connect(AUTH_ENABLED="true")
    one, other = [await callers.create(async_client(server.url), name) for name in ("one", "other")]
    made = await client.post("/api/schedules", json=NIGHTLY, headers={"X-API-Key": one.key})
    path = f"/api/schedules/{made.json()['scheduleId']}"
    for method, end in (
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/run"),
    ):
        body = {"json": {"name": "x"}} if method == "PATCH" else {}
        answer = await client.request(method, path + end, headers={"X-API-Key": other.key}, **body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    later = await client.post("/api/query", json={"query": "a", "runAt": ahead(days=9)}, headers={"X-API-Key": one.key})
    await callers.revoke(async_client(server.url), one.id, keep_for=60)
    with sync_client(server.url) as sync:
        while maintenance.cancel_revoked(sync, most=10, keep_for=60):
            pass
    assert store.hget(keys.job(later.json()["jobId"]), "state") == "cancelled"
    assert store.keys("cg:schedule*") == []


async def test_schedules_hold_bytes_of_their_caller(connect, server, store):
    client = await connect(server.url, CALLER_MAX_BYTES="4000")
    made = [await client.post("/api/schedules", json=NIGHTLY) for _ in range(4)]
    assert [one.status_code for one in made] == [201, 201, 201, 429]
    assert made[-1].json()["code"] == "caller_storage_full"


async def test_a_delayed_job_says_when_it_starts_and_starts_then(clocked, store):
    time = ahead(days=2)
    made = (await clocked.client.post("/api/query", json={"query": "a", "runAt": time})).json()
    path = f"/api/query/{made['jobId']}"
    shown = (await clocked.client.get(path)).json()
    assert (shown["state"], shown["startsAt"][:19]) == ("delayed", time[:19])
    assert [one["jobId"] for one in (await clocked.client.get("/api/query?state=delayed")).json()["jobs"]] == [
        made["jobId"]
    ]
    assert await run(clocked.url) is None
    store.zadd(keys.DELAYED, {made["jobId"]: 1})
    assert await run(clocked.url) == made["jobId"]
    ended = (await clocked.client.get(path)).json()
    assert (ended["state"], ended["startsAt"]) == ("completed", None)


async def test_a_delayed_job_can_be_cancelled_and_started_at_once(clocked, store):
    jobs = [
        (await clocked.client.post("/api/query", json={"query": str(number), "runAt": ahead(days=2)})).json()["jobId"]
        for number in range(2)
    ]
    cancelled = await clocked.client.delete(f"/api/query/{jobs[0]}")
    assert cancelled.json()["state"] == "cancelled"
    assert await operations.retry(async_client(clocked.url), jobs[1]) == "waiting"
    assert await run(clocked.url) == jobs[1]
    assert store.zcard(keys.DELAYED) == 0
    assert float(store.hget(keys.COUNTERS, "queue_wait:sum")) < 60


async def test_a_job_for_later_is_neither_answered_nor_joined_before(connect, server, store):
    client = await connect(server.url, DEDUP_ENABLED="true", CACHE_TTL="60")
    later = (await client.post("/api/query", json={"query": "a", "runAt": ahead(hours=1)})).json()
    now = (await client.post("/api/query", json={"query": "a"})).json()
    assert (later["status"], now["status"]) == ("queued", "queued")
    assert later["jobId"] != now["jobId"]
    await run(server.url)
    again = (await client.post("/api/query", json={"query": "a", "runAt": ahead(hours=1)})).json()
    assert again["status"] == "queued"


async def test_delayed_jobs_count_as_waiting_ones(connect, server, store):
    client = await connect(server.url, MAX_QUEUE_DEPTH="2")
    for status in (202, 202, 503):
        answer = await client.post("/api/query", json={"query": "a", "runAt": ahead(hours=1)})
        assert answer.status_code == status
    client = await connect(server.url, MAX_QUEUE_DEPTH="100", CALLER_MAX_WAITING="2")
    assert (await client.post("/api/query", json={"query": "a"})).json()["code"] == "caller_queue_full"


@pytest.mark.parametrize(
    "time",
    [
        "2030-01-01T00:00:00Z",
        "2030-01-01",
        "2026-01-01T00:00:00",
        "tomorrow",
        1767225600,
        "",
        "9999-12-31T23:59:59-14:00",
    ],
)
async def test_a_start_that_is_no_time_or_too_far_is_refused(clocked, time):
    refused = await clocked.client.post("/api/query", json={"query": "a", "runAt": time})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/runAt")


async def test_a_start_in_the_past_is_now_and_the_key_replays_the_answer(clocked):
    body = {"query": "a", "runAt": "2020-01-01T00:00:00+02:00"}
    first, again = [
        await clocked.client.post("/api/query", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)
    ]
    assert first.json() == again.json()
    assert (await clocked.client.get(f"/api/query/{first.json()['jobId']}")).json()["state"] == "waiting"


async def test_queries_of_a_batch_start_at_their_own_times(clocked, store):
    body = {"queries": [{"query": "a"}, {"query": "b", "runAt": ahead(hours=1)}]}
    made = (await clocked.client.post("/api/batches", json=body)).json()
    assert (made["counts"]["waiting"], made["counts"]["delayed"]) == (1, 1)
    assert (await clocked.client.get(f"/api/batches/{made['batchId']}")).json()["counts"] == made["counts"]


async def test_a_delayed_job_takes_its_turn_in_a_session_when_it_is_due(clocked, store):
    """Catches a job for next year that holds the session until then."""
    later = (
        await clocked.client.post("/api/query", json={"query": "a", "sessionId": "s", "runAt": ahead(hours=1)})
    ).json()
    now = (await clocked.client.post("/api/query", json={"query": "b", "sessionId": "s"})).json()
    assert store.zrange(keys.WAITING, 0, -1) == [now["jobId"]]
    store.zadd(keys.DELAYED, {later["jobId"]: 1})
    assert await run(clocked.url) == now["jobId"]
    assert await run(clocked.url) == later["jobId"]
