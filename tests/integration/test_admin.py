"""The dashboard's JSON API."""

import base64
import json

import pytest

from shared.configuration.settings import SettingsError
from shared.store import keys
from shared.store.callers import callers, credentials
from shared.store.jobs import claims, operations
from shared.store.redis.client import async_client
from tests.support.slot import ERROR, run, take

PASSWORD, VIEWER = "correct horse battery", "only looking around"
ON = {"ADMIN_ENABLED": "true", "ADMIN_PASSWORD": PASSWORD, "ADMIN_VIEWER_PASSWORD": VIEWER}


def basic(password=PASSWORD, name="admin"):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.fixture
async def admin(connect):
    client = await connect(**ON, DEDUP_ENABLED="true", WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8")
    client.headers.update(basic())
    return client


async def submit(client, query, **fields):
    return (await client.post("/api/query", json={"query": query, **fields})).json()["jobId"]


CHANGES = [
    ("POST", "/admin/api/jobs/retry-failed"), ("POST", "/admin/api/jobs/purge-finished"),
    ("POST", "/admin/api/jobs/{job}/retry"), ("POST", "/admin/api/jobs/{job}/cancel"),
    ("POST", "/admin/api/jobs/{job}/priority"), ("POST", "/admin/api/jobs/{job}/redeliver"),
    ("DELETE", "/admin/api/jobs/{job}"), ("POST", "/admin/api/queue/pause"), ("POST", "/admin/api/queue/resume"),
    ("DELETE", "/admin/api/cache"), ("DELETE", "/admin/api/callers/x"), ("POST", "/admin/api/webhooks/hosts/x/resume"),
]  # fmt: skip
LOOKS = ["/admin/api/stats", "/admin/api/jobs", "/admin/api/jobs/{job}", "/admin/api/callers"]


def test_the_dashboard_does_not_start_without_a_password(monkeypatch, tmp_path):
    from shared.configuration.settings import AdminSettings, load

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADMIN_ENABLED", "true")
    for password in ("", "short"):
        monkeypatch.setenv("ADMIN_PASSWORD", password)
        load.cache_clear()
        with pytest.raises(SettingsError, match=r"ADMIN_PASSWORD: .*12 characters or more"):
            load(AdminSettings)
    load.cache_clear()


@pytest.mark.parametrize("path", ["/admin", "/admin/static/dashboard.js", "/admin/session", *LOOKS])
async def test_without_admin_enabled_nothing_is_served(connect, path):
    client = await connect(ADMIN_ENABLED="false")
    answer = await client.get(path.format(job="x"), headers=basic())
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_requests_without_the_login_are_refused(connect, server):
    client = await connect(**ON)
    job = await submit(client, "q")
    made = await callers.create(async_client(server.url), "a caller")
    strangers = [{}, {"Authorization": f"Bearer {made.key}"}, {"X-API-Key": made.key}, {"Authorization": "Basic !"}]
    for method, path in [*CHANGES, *(("GET", path) for path in LOOKS)]:
        for headers in strangers:
            answer = await client.request(method, path.format(job=job), headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), path
            assert answer.headers["www-authenticate"].startswith("Basic")


async def test_a_viewer_can_read_everything_and_change_nothing(connect, store):
    client = await connect(**ON)
    job = await submit(client, "q")
    for path in LOOKS:
        assert (await client.get(path.format(job=job), headers=basic(VIEWER))).status_code == 200
    before = {key: store.dump(key) for key in store.scan_iter()}
    for method, path in CHANGES:
        answer = await client.request(method, path.format(job=job), headers=basic(VIEWER), json={"priority": "high"})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path
    assert {key: store.dump(key) for key in store.scan_iter()} == before


async def test_a_retried_job_starts_over(admin, server, store):
    job = await submit(admin, "q", webhookUrl="http://127.0.0.1:9/")
    await run(server.url, ERROR)
    assert store.hget(keys.COUNTERS, "webhooks_pending") == "1"
    again = await admin.post(f"/admin/api/jobs/{job}/retry")
    assert (again.status_code, again.json()["state"], again.json()["runAnew"]) == (200, "waiting", 1)
    assert (again.json()["error"], again.json()["finishedAt"], again.json()["attempts"]) == (None, None, [])
    # A webhook about an end that a retry undoes is not delivered.
    assert store.hget(keys.COUNTERS, "webhooks_pending") == "0"
    running = await admin.post(f"/admin/api/jobs/{job}/retry")
    assert (running.status_code, running.json()["code"]) == (409, "not_finished")
    assert await run(server.url) == job
    names = store.smembers(keys.hooks(job))
    events = {store.hget(keys.hook(name), "event"): store.hget(keys.hook(name), "state") for name in names}
    assert events == {"query.failed": "superseded", "query.completed": "pending"}
    done = await admin.post(f"/admin/api/jobs/{job}/retry")
    assert (done.status_code, done.json()["code"]) == (409, "already_finished")
    redelivered = await admin.post(f"/admin/api/jobs/{job}/redeliver")
    assert len(redelivered.json()["requestIds"]) == 1


async def test_all_failed_jobs_are_retried_and_finished_ones_purged(admin, server, store):
    failed = [await submit(admin, f"fails {number}") for number in range(3)]
    for _ in failed:
        await run(server.url, ERROR)
    done = await submit(admin, "done")
    await run(server.url)
    waiting = await submit(admin, "waits")
    assert (await admin.post("/admin/api/jobs/retry-failed")).json() == {"retried": 3}
    states = {job["jobId"]: job["state"] for job in (await admin.get("/admin/api/jobs")).json()["jobs"]}
    assert states == {**dict.fromkeys([*failed, waiting], "waiting"), done: "completed"}
    assert (await admin.post("/admin/api/jobs/purge-finished")).json() == {"purged": 1}
    assert [key for key in store.scan_iter() if done in key and key.startswith("cg:")] == []
    # The cached answer is gone too.
    assert (await admin.post("/api/query", json={"query": "done"})).json()["status"] == "queued"


async def test_a_job_is_cancelled_then_deleted_and_not_before(admin, server, store):
    job = await submit(admin, "q")
    early = await admin.delete(f"/admin/api/jobs/{job}")
    assert (early.status_code, early.json()["code"]) == (409, "not_finished")
    assert (await admin.post(f"/admin/api/jobs/{job}/cancel")).json()["state"] == "cancelled"
    late = await admin.post(f"/admin/api/jobs/{job}/cancel")
    assert (late.status_code, late.json()["code"]) == (409, "already_finished")
    assert (await admin.delete(f"/admin/api/jobs/{job}")).json() == {"deleted": 1}
    for answer in (await admin.get(f"/admin/api/jobs/{job}"), await admin.get(f"/api/query/{job}")):
        assert answer.status_code == 404
    assert [key for key in store.scan_iter("cg:*") if job in key] == []


async def test_a_new_priority_changes_what_starts_next(admin, server):
    first = await submit(admin, "first")
    second = await submit(admin, "second", priority="low")
    answer = await admin.post(f"/admin/api/jobs/{second}/priority", json={"priority": "high"})
    assert answer.json()["priority"] == "high"
    wrong = await admin.post(f"/admin/api/jobs/{second}/priority", json={"priority": "urgent"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_request")
    assert [await run(server.url), await run(server.url)] == [second, first]
    late = await admin.post(f"/admin/api/jobs/{second}/priority", json={"priority": "low"})
    assert (late.status_code, late.json()["code"]) == (409, "already_finished")


async def test_a_paused_queue_starts_nothing_until_it_is_resumed(admin, server, store):
    job = await submit(admin, "q")
    await admin.post("/admin/api/queue/pause")
    assert await run(server.url) is None
    assert (await admin.get("/admin/api/stats")).json()["held"] == "paused"
    assert (await admin.get("/health")).json()["reason"] == "no_worker"
    await admin.post("/admin/api/queue/resume")
    assert await run(server.url) == job


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (keys.UPSTREAM, {"refused": 3, "code": "billing_error", "since": 1, "probe": 1 << 50}, "billing_error"),
        (keys.NOT_BEFORE, "rate_limited", "rate_limited"),
    ],
)
async def test_an_upstream_hold_is_shown_and_can_be_lifted(admin, server, store, key, value, reason):
    store.hset(key, mapping=value) if isinstance(value, dict) else store.set(key, value)
    job = await submit(admin, "q")
    assert await run(server.url) is None
    assert (await admin.get("/admin/api/stats")).json()["held"] == reason
    await admin.post("/admin/api/queue/resume")
    assert await run(server.url) == job


async def test_one_cached_answer_or_the_whole_cache_is_cleared(admin, server):
    jobs = [await submit(admin, f"q {number}") for number in range(3)]
    for _ in jobs:
        await run(server.url)
    assert (await admin.get("/admin/api/stats")).json()["cache"]["entries"] == 3
    assert (await admin.get(f"/admin/api/jobs/{jobs[0]}")).json()["cached"] is True
    assert (await admin.delete("/admin/api/cache", params={"jobId": jobs[0]})).json() == {"cleared": 1}
    assert (await admin.get(f"/admin/api/jobs/{jobs[0]}")).json()["cached"] is False
    assert (await admin.delete("/admin/api/cache")).json() == {"cleared": 2}
    assert (await admin.post("/api/query", json={"query": "q 1"})).json()["status"] == "queued"


async def test_jobs_of_all_callers_are_listed_by_page_state_and_id(admin, server):
    jobs = [await submit(admin, f"q {number}") for number in range(5)]
    await run(server.url)
    first = (await admin.get("/admin/api/jobs", params={"limit": 3})).json()
    rest = (await admin.get("/admin/api/jobs", params={"limit": 3, "cursor": first["nextCursor"]})).json()
    assert [job["jobId"] for job in first["jobs"] + rest["jobs"]] == jobs[::-1]
    assert rest["nextCursor"] is None
    done = (await admin.get("/admin/api/jobs", params={"state": "completed"})).json()["jobs"]
    assert [job["jobId"] for job in done] == jobs[:1]
    found = (await admin.get("/admin/api/jobs", params={"jobId": jobs[2]})).json()["jobs"]
    assert [job["jobId"] for job in found] == [jobs[2]]
    assert (await admin.get("/admin/api/jobs", params={"jobId": "x"})).json()["jobs"] == []


async def test_a_jobs_page_shows_its_query_worker_and_cost(admin, server):
    job = await submit(admin, "ask me", context={"a": 1}, metadata={"b": "c"})
    await run(server.url)
    shown = (await admin.get(f"/admin/api/jobs/{job}")).json()
    assert shown["request"]["query"] == "ask me"
    assert shown["request"]["context"] == {"a": 1}
    assert (shown["slot"], shown["result"]["costUsd"], shown["caller"]) == ("slot", 0.25, "anonymous")


async def test_callers_are_listed_and_revoked(admin, server):
    made = await callers.create(async_client(server.url), "somebody")
    listed = (await admin.get("/admin/api/callers")).json()["callers"]
    assert [(one["id"], one["name"], one["credentials"]) for one in listed] == [(made.id, "somebody", [])]
    assert made.key not in json.dumps(listed)
    assert (await admin.delete(f"/admin/api/callers/{made.id}")).json() == {"revoked": made.id}
    assert (await admin.delete(f"/admin/api/callers/{made.id}")).status_code == 404


async def test_a_caller_is_listed_with_the_names_of_its_credentials(admin, server):
    """Catches a dashboard that shows more of a credential than its name."""
    made = await callers.create(async_client(server.url), "somebody")
    await callers.create(async_client(server.url), "without any")
    for name in ("b", "a"):
        await credentials.put(
            async_client(server.url), made.id, name, kind="git", hosts=("h",), key="k", sealed="S", most=2
        )
    listed = (await admin.get("/admin/api/callers")).json()["callers"]
    assert {one["name"]: one["credentials"] for one in listed} == {"somebody": ["a", "b"], "without any": []}
    assert listed[0].keys() == {"id", "keyId", "name", "createdAt", "lastUsedAt", "scopes", "policy", "credentials"}


async def test_every_change_is_logged_with_its_author(admin, caplog):
    caplog.set_level("INFO", "admin.audit")
    job = await submit(admin, "a secret query")
    await admin.post(f"/admin/api/jobs/{job}/cancel")
    [line] = [record for record in caplog.records if record.name == "admin.audit"]
    assert line.getMessage() == "admin_action"
    fields = vars(line)["fields"]
    assert (fields["action"], fields["role"], fields["job_id"]) == ("cancel", "admin", job)
    assert PASSWORD not in caplog.text
    assert "a secret query" not in caplog.text


async def test_the_first_page_costs_the_same_whatever_the_number_of_jobs(admin, round_trips):
    # The cost is a fixed number of Redis commands, none of which scans all jobs.
    async def cost():
        round_trips.clear()
        assert (await admin.get("/admin/api/stats")).status_code == 200
        assert (await admin.get("/admin/api/jobs")).status_code == 200
        return len(round_trips)

    for number in range(50):
        await submit(admin, f"q {number}")
    await cost()
    few = await cost()
    for number in range(150):
        await submit(admin, f"more {number}")
    assert await cost() == few


async def test_the_last_hour_is_counted_by_the_minute(admin, server):
    await submit(admin, "q")
    await run(server.url)
    await submit(admin, "r")
    await run(server.url, ERROR)
    hour = (await admin.get("/admin/api/stats")).json()["hour"]
    assert len(hour) == 60
    assert (sum(one["completed"] for one in hour), sum(one["failed"] for one in hour)) == (1, 1)


async def test_a_slot_shows_what_it_runs(admin, server, store):
    job = await submit(admin, "q")
    handle = async_client(server.url)
    store.zadd(keys.SLOTS, {"host-1-1": 4_000_000_000})
    claim = await take(server.url, "host-1-1")
    assert (await admin.get("/admin/api/stats")).json()["slots"] == [{"slot": "host-1-1", "jobId": job}]
    await operations.forget(handle, job)  # a running job is left alone
    await claims.settle(handle, claims.hand_back(claim))
    assert (await admin.get("/admin/api/stats")).json()["slots"] == [{"slot": "host-1-1", "jobId": None}]
