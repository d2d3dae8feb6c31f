"""The list of jobs that operators search and filter, and actions on many jobs."""

import json

import pytest

from shared.api.ids import new_id
from shared.store import keys
from shared.store.callers import callers
from shared.store.jobs import finding
from shared.store.redis.client import async_client
from tests.integration.test_admin import ON, VIEWER, basic, submit
from tests.support.slot import ERROR, run, take


@pytest.fixture
async def admin(connect):
    client = await connect(**ON, DEDUP_ENABLED="true", WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8")
    client.headers.update(basic())
    return client


async def listed(client, **parameters):
    answer = await client.get("/admin/api/jobs", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ids(client, **parameters):
    return [job["jobId"] for job in (await listed(client, **parameters))["jobs"]]


def following(page):
    """Return the parameter of the next page, None for the last."""
    return {"cursor": page["nextCursor"]} if page["nextCursor"] else None


async def bulk(client, **body):
    headers = {"Content-Type": "application/json"}
    return await client.post("/admin/api/jobs/bulk", content=json.dumps(body), headers=headers)


async def test_a_row_can_be_read(admin, server):
    """Catches a table of ids only: who asked what, of which model, for how much, for how long."""
    job = await submit(admin, "  Why is\n the “sky” \\ blue?\t" + "x" * 5000, model="claude-sonnet-5")
    [waiting] = (await listed(admin))["jobs"]
    assert (waiting["words"][:29], waiting["model"]) == ("Why is the “sky” \\ blue? xxxx", None)
    assert await run(server.url) == job
    [done] = (await listed(admin))["jobs"]
    # The request was deleted with its end.
    assert done["words"].startswith("Why is the “sky” \\ blue? xxx")
    assert (done["callerName"], done["costUsd"], done["durationMs"] >= 0) == (None, 0, True)
    await submit(admin, "short", model="claude-sonnet-5")
    assert (await listed(admin))["jobs"][0]["model"] == "claude-sonnet-5"


@pytest.mark.parametrize("query", ["é" * 3000, "😀" * 1500, '"' * 5000, "\\" * 5000, "\x01" * 3000, "<b>" * 2000])
async def test_first_words_of_any_text_are_cut_between_characters(admin, server, query):
    """Catches a list that fails because a stored beginning ends within a character or an escape."""
    await submit(admin, query)
    await run(server.url)
    [job] = (await listed(admin))["jobs"]
    assert query.startswith(job["words"])
    assert len(job["words"]) >= 15


async def test_filters_select_jobs(admin, server):
    failed = await submit(admin, "fails", metadata={"team": "a=b", "x": "1"}, model="claude-sonnet-5")
    await run(server.url, ERROR)
    other = await submit(admin, "o", metadata={"team": "c"})
    batch = (await admin.post("/api/batches", json={"queries": [{"query": "b1"}, {"query": "b2"}]})).json()["batchId"]
    last = await submit(admin, "last", session=True)
    in_batch = await ids(admin, batchId=batch)
    assert len(in_batch) == 2
    assert await ids(admin) == [last, *in_batch, other, failed]
    assert await ids(admin, code="server_error") == [failed]
    assert await ids(admin, code="timeout") == []
    assert await ids(admin, metadata="team=a=b") == await ids(admin, metadata=["team", "x=1"]) == [failed]
    assert await ids(admin, metadata="team") == [other, failed]
    assert await ids(admin, metadata="team=a") == []
    assert await ids(admin, state="failed", code="server_error", metadata="x=1") == [failed]
    assert await ids(admin, sessionId=last) == [last]
    assert await ids(admin, model="claude-sonnet-5") == [failed]


async def test_jobs_of_a_caller_are_found_by_its_name(connect, server):
    client = await connect(**ON, AUTH_ENABLED="true")
    client.headers.update(basic())
    one, two = [await callers.create(async_client(server.url), name) for name in ("one", "two of them")]
    keyed = {"X-API-Key": one.key, "Authorization": ""}
    job = (await client.post("/api/query", json={"query": "q"}, headers=keyed)).json()["jobId"]
    assert await ids(client, caller=one.id) == await ids(client, caller="one") == [job]
    assert await ids(client, caller=two.name) == await ids(client, caller="nobody") == []
    [row] = (await listed(client))["jobs"]
    assert (row["caller"], row["callerName"]) == (one.id, "one")


async def test_a_time_range_selects_by_creation(admin, store):
    jobs = [await submit(admin, f"q {number}") for number in range(6)]
    for number, job in enumerate(jobs):
        store.hset(keys.job(job), "created", 1_700_000_000_000 + number * 1000)
    at = [f"2023-11-14T22:13:{20 + number}Z" for number in range(6)]
    assert await ids(admin, createdSince=at[2], createdUntil=at[4]) == [jobs[4], jobs[3], jobs[2]]
    assert await ids(admin, createdUntil=at[0]) == [jobs[0]]
    assert await ids(admin, createdSince=at[5]) == [jobs[5]]
    assert await ids(admin, createdUntil="1960-01-01T00:00:00Z") == []
    assert await ids(admin, createdSince="2023-11-14T23:13:22+01:00", limit=1) == [jobs[5]]


async def test_any_id_finds_its_job(admin, server, store):
    headers = {"Idempotency-Key": "k"}
    answer = await admin.post("/api/query", json={"query": "q", "webhookUrl": "http://127.0.0.1:9/"}, headers=headers)
    job, request = answer.json()["jobId"], answer.json()["requestId"]
    joined = (await admin.post("/api/query", json={"query": "q"})).json()
    assert joined["status"] == "duplicate"
    accepted = (await admin.post("/api/batches", json={"queries": [{"query": "b"}, {"query": "c"}]})).json()
    batch = accepted["batchId"]
    of_batch = await ids(admin, batchId=batch)
    assert len(of_batch) == 2
    await run(server.url)
    [event] = [f"msg_{name}" for name in store.smembers(keys.hooks(job))]
    for text in (
        job,
        f" {job} ",
        job.upper(),
        f"resp_{job}",
        f"chatcmpl-{job}",
        f"msg_{job}",
        f"msg_{job}_2",
        request,
        event,
    ):
        assert await ids(admin, id=text) == [job], text
    assert await ids(admin, id=joined["requestId"]) == [job]
    for text in (batch, f"msgbatch_{batch}", accepted["requestId"], f"msg_{accepted['requestId']}", batch.upper()):
        assert await ids(admin, id=text) == of_batch, text
    for text in ("x", "resp_", new_id(), "..", "*", f"{job}x", job[:-1], "\x00", "😀"):
        assert await ids(admin, id=text) == [], text


async def test_a_session_is_found_by_its_id(admin, server, store):
    first = await submit(admin, "one", session=True)
    store.hset(keys.job(first), "expires", 1)  # the first job is over, its session is not
    second = await submit(admin, "two", sessionId=first)
    third = await submit(admin, "three", sessionId=first)
    assert await ids(admin, sessionId=first) == [third, second]
    assert await ids(admin, id=first) == []
    store.delete(keys.job(first))
    assert await ids(admin, id=first) == [third, second]


async def test_a_search_is_bounded_and_continues(admin, store, monkeypatch):
    """Catches a search that stops in silence, that skips a job, or that reads all jobs at once."""
    monkeypatch.setattr(finding, "EXAMINED", 7)
    jobs = [await submit(admin, f"q {number}", metadata={"n": str(number % 10)}) for number in range(40)]
    found, requests = [], 0
    place: dict[str, str] | None = {}
    while place is not None:
        page = await listed(admin, metadata="n=3", limit=2, **place)
        assert page["examined"] <= 7
        found += [job["jobId"] for job in page["jobs"]]
        requests, place = requests + 1, following(page)
    assert found == [jobs[number] for number in (33, 23, 13, 3)]
    assert requests >= 5


async def test_states_are_merged_in_the_order_of_arrival(admin, server):
    jobs = [await submit(admin, f"q {number}") for number in range(150)]
    for number in range(75):
        await run(server.url, ERROR if number % 2 else None)
    found = []
    place: dict[str, str] | None = {}
    while place is not None:
        page = await listed(admin, limit=40, **place)
        found += [job["jobId"] for job in page["jobs"]]
        place = following(page)
    assert found == jobs[::-1]


async def test_jobs_whose_time_is_over_are_not_found(admin, store):
    job = await submit(admin, "q", metadata={"a": "b"})
    store.hset(keys.job(job), "expires", 1)
    for parameters in ({}, {"id": job}, {"metadata": "a=b"}, {"state": "waiting"}):
        assert await ids(admin, **parameters) == []


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"state": "done"}, "state"), ({"createdSince": "yesterday"}, "createdSince"), ({"limit": "0"}, "limit"),
        ({"createdUntil": "1"}, "createdUntil"), ({"cursor": "-1"}, "cursor"), ({"caller": "x" * 201}, "caller"),
        ({"metadata": ["a"] * 17}, "metadata"), ({"created_since": "2026-01-01T00:00:00Z"}, "created_since"),
        ({"x": "1"}, "x"),
    ],
)  # fmt: skip
async def test_wrong_filters_are_refused_by_name(admin, parameters, field):
    answer = await admin.get("/admin/api/jobs", params=parameters)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert field in json.dumps(answer.json()["errors"])


async def test_the_list_takes_three_round_trips_whatever_the_filter(admin, round_trips, server):
    """With the login; catches a list that reads its jobs one by one."""
    for number in range(120):
        await submit(admin, f"q {number}", metadata={"n": str(number)})
    await run(server.url, ERROR)
    for parameters in ({}, {"state": "waiting"}, {"metadata": "n=5"}, {"code": "server_error"}, {"id": new_id()}):
        await listed(admin, **parameters)
        round_trips.clear()
        await listed(admin, **parameters)
        assert len(round_trips) <= 3, parameters


async def test_the_page_of_a_job_takes_three_round_trips(admin, round_trips, server):
    """With the login, for a job with a webhook and a cached answer, which are read side by side after the record."""
    job = await submit(admin, "q", webhookUrl="http://127.0.0.1:9/")
    await run(server.url)
    for _ in range(2):
        round_trips.clear()
        assert (await admin.get(f"/admin/api/jobs/{job}")).json()["cached"] is True
    assert len(round_trips) <= 4


async def test_jobs_of_a_filter_are_counted_and_then_retried(admin, server):
    failed = [await submit(admin, f"fails {number}", metadata={"a": "b"}) for number in range(3)]
    for _ in failed:
        await run(server.url, ERROR)
    other = await submit(admin, "fails too")
    await run(server.url, ERROR)
    what = {"action": "retry", "filter": {"metadata": ["a=b"]}}
    counted = (await bulk(admin, **what, dryRun=True)).json()
    assert (counted["count"], counted["nextCursor"]) == (3, None)
    # One fails after the count: it is not among those that were counted.
    late = await submit(admin, "fails late", metadata={"a": "b"})
    await run(server.url, ERROR)
    done = (await bulk(admin, **what, asOf=counted["asOf"])).json()
    assert (done["changed"], done["unchanged"], sorted(done["jobIds"])) == (3, {}, sorted(failed))
    assert set(await ids(admin, state="failed")) == {other, late}


async def test_what_changed_since_the_count_is_reported(admin, server):
    jobs = [await submit(admin, f"q {number}") for number in range(3)]
    await run(server.url)
    answer = (await bulk(admin, action="cancel", jobIds=[*jobs, new_id(), "x"])).json()
    assert (answer["changed"], answer["unchanged"]) == (2, {"completed": 1, "missing": 1})
    again = (await bulk(admin, action="cancel", jobIds=jobs)).json()
    assert (again["changed"], again["unchanged"]) == (0, {"completed": 1, "cancelled": 2})
    active = await submit(admin, "runs")
    await take(server.url)
    kept = (await bulk(admin, action="delete", jobIds=[active, *jobs])).json()
    assert (kept["changed"], kept["unchanged"]) == (3, {"active": 1})
    assert await ids(admin) == [active]


async def test_many_jobs_are_changed_in_bounded_steps(admin, store):
    """Catches a request that works for minutes, and a step that leaves out or repeats jobs."""
    for number in range(130):
        await submit(admin, f"q {number}")
    counted = (await bulk(admin, action="cancel", filter={}, dryRun=True)).json()
    assert counted["count"] == 130
    changed, steps = 0, 0
    place: dict[str, str] | None = {}
    while place is not None:
        answer = (await bulk(admin, action="cancel", filter={}, asOf=counted["asOf"], **place)).json()
        assert answer["changed"] <= 100
        changed, steps, place = changed + answer["changed"], steps + 1, following(answer)
    assert (changed, steps) == (130, 2)
    entries = (await admin.get("/admin/api/audit")).json()["entries"]
    assert [(one["action"], one["details"]["changed"]) for one in entries] == [
        ("cancel_jobs", 30),
        ("cancel_jobs", 100),
    ]


@pytest.mark.parametrize(
    "body",
    [
        {}, {"action": "retry"}, {"action": "explode", "filter": {}}, {"action": "retry", "jobIds": ["x"] * 101},
        {"action": "retry", "filter": {}, "jobIds": ["x"]}, {"action": "retry", "jobIds": []},
        {"action": "retry", "filter": {"y": 1}},
        {"action": "retry", "filter": {"caller": 1}},
        {"action": "retry", "filter": {}, "dryRun": "yes"}, {"action": "retry", "filter": {}, "cursor": "x"},
        {"action": "retry", "filter": {}, "asOf": "0"}, {"action": "retry", "filter": None},
    ],
)  # fmt: skip
async def test_wrong_actions_are_refused(admin, body):
    answer = await bulk(admin, **body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_viewer_changes_no_jobs(admin, store):
    await submit(admin, "q")
    for dry in (True, False):
        body: dict[str, object] = {"action": "cancel", "filter": {}, "dryRun": dry}
        answer = await admin.post("/admin/api/jobs/bulk", json=body, headers=basic(VIEWER))
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert len(await ids(admin, state="waiting")) == 1


async def test_the_text_of_a_running_job_is_read_in_parts(admin, server, store):
    job = await submit(admin, "q")
    place = f"/admin/api/jobs/{job}/text"
    for kind, data in [("state", "{}"), ("delta", "wrong"), ("reset", ""), ("delta", "a"), ("delta", "<b>")]:
        store.xadd(keys.events(job), {"k": kind, "d": data})
    first = (await admin.get(place)).json()
    assert (first["text"], first["reset"]) == ("a<b>", True)
    store.xadd(keys.events(job), {"k": "delta", "d": "c"})
    second = (await admin.get(place, params={"cursor": first["cursor"]})).json()
    assert (second["text"], second["reset"], second["more"]) == ("c", False, False)
    for cursor in ("x", "1", "-1-0", "1-1-1"):
        assert (await admin.get(place, params={"cursor": cursor})).status_code == 422
    for unknown in ("x", new_id()):
        assert (await admin.get(f"/admin/api/jobs/{unknown}/text")).status_code == 404
