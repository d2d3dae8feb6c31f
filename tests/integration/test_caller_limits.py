"""Bounds of each caller: waiting jobs, running jobs, bytes in Redis; one caller's backlog refuses no other caller."""

import json

import pytest

from shared.api.ids import new_id
from shared.api.policies import Policy
from shared.store import keys
from shared.store.callers import callers, policies
from shared.store.jobs import claims, maintenance, operations, queue, records, submissions
from shared.store.jobs.steps import Entry
from shared.store.redis.client import async_client, sync_client
from tests.support.slot import ERROR, RESULT, pop_one, run


@pytest.fixture
async def key(server, store):
    """The key of a caller."""
    return await callers.create(async_client(server.url), "one")


def held(store, caller):
    return int(store.hget(keys.BYTES, caller) or 0)


async def test_a_caller_fills_half_of_the_queue(connect, server, store):
    client = await connect(AUTH_ENABLED="true", MAX_QUEUE_DEPTH="7")
    one, two = [{"X-API-Key": (await callers.create(async_client(server.url), name)).key} for name in "ab"]
    answers = [await client.post("/api/query", json={"query": f"q {n}"}, headers=one) for n in range(4)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    problem = answers[3].json()
    assert problem["code"] == "caller_queue_full"
    assert "CALLER_MAX_WAITING = 3" in problem["detail"]
    assert answers[3].headers["retry-after"]
    assert (await client.post("/api/query", json={"query": "q"}, headers=two)).status_code == 202


@pytest.mark.parametrize("auth", ["true", "false"])
async def test_waiting_jobs_of_a_caller_have_a_limit(connect, key, auth):
    client = await connect(AUTH_ENABLED=auth, CALLER_MAX_WAITING="2")
    headers = {"X-API-Key": key.key} if auth == "true" else {}
    for status in (202, 202, 429):
        assert (await client.post("/api/query", json={"query": f"{status}"}, headers=headers)).status_code == status
    batch = {"queries": [{"query": "a"}]}
    refused = await client.post("/api/batches", json=batch, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (429, "caller_queue_full")


async def test_parked_and_held_jobs_count_as_waiting(connect, server, key):
    client = await connect(AUTH_ENABLED="true", CALLER_MAX_WAITING="2")
    headers = {"X-API-Key": key.key}
    for status in (202, 202, 429):
        body = {"query": f"{status}", "sessionId": "s"}
        assert (await client.post("/api/query", json=body, headers=headers)).status_code == status


async def test_the_deployments_limit_counts_all_callers(connect, server, store):
    client = await connect(AUTH_ENABLED="true", MAX_QUEUE_DEPTH="2", CALLER_MAX_WAITING="2")
    one, two = [{"X-API-Key": (await callers.create(async_client(server.url), name)).key} for name in "ab"]
    for headers in (one, two):
        assert (await client.post("/api/query", json={"query": "q"}, headers=headers)).status_code == 202
    refused = await client.post("/api/query", json={"query": "r"}, headers=two)
    assert (refused.status_code, refused.json()["code"]) == (503, "queue_full")


async def submitted(connect, count, **fields):
    client = await connect()
    bodies = [{"query": f"query {number}", **fields} for number in range(count)]
    return [(await client.post("/api/query", json=body)).json()["jobId"] for body in bodies]


def pop_of(server, most):
    with sync_client(server.url) as client:
        return queue.pop(client, caller_max_active=most)


async def take(server, claim, most):
    return await claims.take(async_client(server.url), claim, f"slot {new_id()}", caller_max_active=most)


async def test_a_caller_runs_no_more_jobs_than_it_may(connect, server, store):
    jobs = await submitted(connect, 4)
    first, second = pop_of(server, 2), pop_of(server, 2)
    assert await take(server, first, 2)
    assert await take(server, second, 2)
    assert pop_of(server, 2) is None
    assert (store.zcard(keys.WAITING), store.zrange(keys.HELD, 0, -1)) == (0, jobs[2:])
    await claims.settle(async_client(server.url), claims.finish(second, "failed", ERROR, keep_for=60))
    third = pop_of(server, 2)
    assert third.job_id == jobs[2]
    assert await take(server, third, 2)
    assert pop_of(server, 2) is None


async def test_claims_at_the_same_time_do_not_exceed_the_limit(connect, server, store):
    """Catches a limit that only the pop checks: two slots pop before either has claimed."""
    jobs = await submitted(connect, 2)
    popped = [pop_of(server, 1), pop_of(server, 1)]
    assert await take(server, popped[0], 1)
    assert await take(server, popped[1], 1) is None
    assert await take(server, popped[1], 1) is None
    await claims.settle(async_client(server.url), claims.hand_back(popped[0]))
    again = [pop_of(server, 1), pop_of(server, 1)]
    assert [claim.job_id for claim in again] == jobs


async def test_another_caller_passes_a_busy_one(connect, server, store):
    await submitted(connect, 120)
    client = await connect(AUTH_ENABLED="true")
    key = await callers.create(async_client(server.url), "other")
    assert await take(server, pop_of(server, 1), 1)
    [job] = [(await client.post("/api/query", json={"query": "mine"}, headers={"X-API-Key": key.key})).json()["jobId"]]
    store.delete(keys.WAKE)
    found = [pop_of(server, 1) for _ in range(3)]
    assert [claim.job_id for claim in found if claim] == [job]


async def test_a_long_backlog_of_a_busy_caller_is_held_in_parts(connect, server, store):
    await submitted(connect, 151)
    assert await take(server, pop_of(server, 1), 1)
    store.delete(keys.WAKE)
    assert pop_of(server, 1) is None
    assert (store.zcard(keys.HELD), store.llen(keys.WAKE)) == (100, 1)
    assert pop_of(server, 1) is None
    assert store.zcard(keys.HELD) == 150


async def test_a_held_job_can_be_cancelled_and_moved(connect, server, store):
    jobs = await submitted(connect, 4)
    claim = pop_of(server, 1)
    assert await take(server, claim, 1)
    assert pop_of(server, 1) is None
    client = async_client(server.url)
    assert await records.cancel(client, jobs[1], keys.ANONYMOUS, keep_for=60) == "cancelled"
    assert await operations.reprioritize(client, jobs[3], 0) == "done"
    await claims.settle(client, claims.finish(claim, "failed", ERROR, keep_for=60))
    assert pop_of(server, 0).job_id == jobs[3], "the one of high priority"
    with sync_client(server.url) as sync:
        assert maintenance.release_held(sync, caller_max_active=None) == 1
    last = pop_of(server, 0)
    assert last.job_id == jobs[2]
    assert store.exists(keys.HELD, "cg:held:anonymous") == 0


async def test_held_jobs_of_one_caller_do_not_hide_those_of_another(connect, server, store):
    """Catches a raised limit that changes nothing, because the first 500 held jobs are those of a busy caller."""
    client = async_client(server.url)
    for caller, count, priority in (("busy", 520, 0), ("other", 4, 2)):
        for _ in range(count):
            job = submissions.Submission(new_id(), new_id(), caller, priority, 60_000, "{}")
            assert (await submissions.submit(client, job)).kind == "queued"
    while claim := pop_of(server, 1) or store.zcard(keys.WAITING):
        if isinstance(claim, claims.Claim):
            assert await take(server, claim, 1)
    assert store.zcard(keys.HELD) == 519 + 3
    store.hset(keys.POLICIES, "other", json.dumps({"maxActive": 3}))
    with sync_client(server.url) as sync:
        assert maintenance.release_held(sync, caller_max_active=1) == 2
    assert store.zcard("cg:held:other") == 1
    assert [(await take(server, pop_of(server, 1), 1)).caller for _ in range(2)] == ["other"] * 2


async def test_the_end_of_held_jobs_leaves_nothing(connect, server, store):
    client = async_client(server.url)
    made = [submissions.Submission(new_id(), new_id(), "one", 1, 60_000, "{}") for _ in range(3)]
    for job in made:
        await submissions.submit(client, job)
    assert await take(server, pop_of(server, 1), 1)
    assert pop_of(server, 1) is None
    for job in made[1:]:
        assert await records.cancel(client, job.job_id, "one", keep_for=60) == "cancelled"
    with sync_client(server.url) as sync:
        assert maintenance.release_held(sync, caller_max_active=1) == 0
    assert not store.exists(keys.HELD, "cg:held:one", "cg:holding")


@pytest.mark.parametrize("at", ["submit", "change"])
async def test_held_jobs_start_in_the_order_of_the_queue(connect, server, store, at):
    """Catches a high job that starts after a normal one, because its caller ran as many jobs as it may."""
    client = await connect()

    async def submit(priority):
        answer = await client.post("/api/query", json={"query": new_id(), "priority": priority})
        return answer.json()["jobId"]

    running = await submit("normal")
    claim = pop_of(server, 1)
    assert await take(server, claim, 1)
    held_jobs = [await submit("low"), await submit("normal"), await submit("high" if at == "submit" else "low")]
    assert pop_of(server, 1) is None
    if at == "change":
        assert await operations.reprioritize(async_client(server.url), held_jobs[2], 0) == "done"
    assert store.zcard(keys.HELD) == 3
    order = []
    for _ in held_jobs:
        await claims.settle(async_client(server.url), claims.finish(claim, "failed", ERROR, keep_for=60))
        claim = pop_of(server, 1)
        assert await take(server, claim, 1)
        order.append(claim.job_id)
    assert order == [held_jobs[2], held_jobs[1], held_jobs[0]]
    assert running not in order


async def test_a_policy_limits_running_jobs(connect, server, store):
    client = await connect(AUTH_ENABLED="true")
    key = await callers.create(async_client(server.url), "limited")
    await policies.put(async_client(server.url), key.id, Policy.model_validate({"maxActive": 1}))
    for number in range(2):
        await client.post("/api/query", json={"query": f"{number}"}, headers={"X-API-Key": key.key})
    assert await take(server, pop_of(server, 0), 0)
    assert pop_of(server, 0) is None


async def test_a_caller_holds_no_more_bytes_than_it_may(connect, server, store):
    client = await connect(CALLER_MAX_BYTES="15000", CACHE_TTL="0")
    body = {"query": "x" * 5000}
    for status in (202, 202, 429):
        answer = await client.post("/api/query", json=body)
        assert answer.status_code == status
    assert answer.json()["code"] == "caller_storage_full"
    assert "CALLER_MAX_BYTES = 15000" in answer.json()["detail"]
    batch = await client.post("/api/batches", json={"queries": [body, body]})
    assert (batch.status_code, batch.json()["code"]) == (429, "caller_storage_full")
    assert await run(server.url)
    assert (await client.post("/api/query", json=body)).status_code == 202, "the request of the completed job is gone"


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "retried", "rescued"])
async def test_nothing_is_counted_after_the_last_job_is_deleted(connect, server, store, end):
    client = await connect(CACHE_TTL="0")
    job = (await client.post("/api/query", json={"query": "counted" * 1000, "metadata": {"a": "b"}})).json()["jobId"]
    assert held(store, keys.ANONYMOUS) == store.strlen(keys.job_input(job)) + len('{"a":"b"}')
    handle = async_client(server.url)
    if end == "cancelled":
        await client.delete(f"/api/query/{job}")
    else:
        claim = pop_one(server.url)
        await claims.take(handle, claim, "slot")
        await claims.renew(handle, claim, 20, 1, [Entry("delta", "", "text of 19 letters.")])
        assert int(store.hget(keys.job(job), "bytes")) == held(store, keys.ANONYMOUS)
        if end == "rescued":
            store.zadd(keys.ACTIVE, {job: 0})
            maintenance.rescue(sync_client(server.url), attempts=1, keep_for=60, error=json.dumps(ERROR["error"]))
        else:
            finish = claims.finish(claim, "failed", ERROR, keep_for=60)
            if end == "completed":
                finish = claims.finish(claim, "completed", {"result": RESULT}, keep_for=60)
            await claims.settle(handle, finish)
        if end == "retried":
            assert await operations.retry(handle, job) == "waiting"
            assert held(store, keys.ANONYMOUS) == store.strlen(keys.job_input(job)) + len('{"a":"b"}')
            assert await run(server.url)
    assert store.exists(keys.job_input(job)) == (end in {"failed", "cancelled", "rescued"})
    assert held(store, keys.ANONYMOUS) > 0
    await operations.forget(handle, job)
    assert store.hgetall(keys.BYTES) == {}


async def test_operators_still_see_a_short_request(connect, server, store):
    [job] = await submitted(connect, 1)
    assert await run(server.url)
    assert json.loads(store.get(keys.job_input(job)))["query"] == "query 0"


async def test_a_response_keeps_its_request(connect, server, store):
    client = await connect(CACHE_TTL="0")
    body = {"input": "hello", "instructions": "be brief" * 1000, "background": True}
    response = (await client.post("/v1/responses", json=body)).json()
    assert await run(server.url)
    assert (await client.get(f"/v1/responses/{response['id']}")).json()["instructions"] == "be brief" * 1000


async def test_an_expired_session_is_no_longer_counted(server, store):
    with sync_client(server.url) as client:
        store.hset(keys.BYTES, "c", 50)
        store.hset(keys.SESSION_BYTES, mapping={"c:gone": 20, "c:used": 30})
        store.zadd(keys.SESSIONS, {"c:gone": 1, "c:used": 1})
        store.set("cg:talk:c:-:used", "lines", ex=60)
        maintenance.forget_expired(client)
        assert (held(store, "c"), list(store.hgetall(keys.SESSION_BYTES))) == (30, ["c:used"])
        assert store.zscore(keys.SESSIONS, "c:used") > 1


META = {f"key {number}": "x" * 500 for number in range(16)}


async def posted_until_refused(client, path, body, most=20):
    """Send a request until it is refused; return how often it was accepted, and the problem."""
    for count in range(most):
        answer = await client.post(path, json=body)
        if answer.status_code == 429:
            return count, answer.json()
    pytest.fail(f"{most} requests were accepted")


async def test_submissions_that_join_a_job_count_their_bytes(connect, server, store):
    """Catches a caller that fills Redis with the metadata of duplicates, which are not jobs."""
    client = await connect(CALLER_MAX_BYTES="50000", DEDUP_ENABLED="true")
    body = {"query": "same", "metadata": META}
    accepted, problem = await posted_until_refused(client, "/api/query", body)
    assert (accepted, problem["code"]) == (5, "caller_storage_full")
    [job] = store.zrange(keys.WAITING, 0, -1)
    assert store.hlen(f"cg:job:{job}:joined") == 4
    before = held(store, keys.ANONYMOUS)
    handle = async_client(server.url)
    await records.cancel(handle, job, keys.ANONYMOUS, keep_for=60)
    assert await operations.retry(handle, job) == "waiting"
    assert held(store, keys.ANONYMOUS) == before
    await records.cancel(handle, job, keys.ANONYMOUS, keep_for=60)
    await operations.forget(handle, job)
    assert store.hgetall(keys.BYTES) == {}


@pytest.mark.parametrize(("hook", "headers", "most"), [(False, False, 43), (False, True, 15), (True, False, 9)])
async def test_records_without_content_count_their_bytes(connect, server, store, hook, headers, most):
    """Catches a caller that fills Redis with records of joined and cached answers, whose content is a few bytes."""
    client = await connect(CALLER_MAX_BYTES="11000", DEDUP_ENABLED="true")
    body = {"query": "same"} | ({"webhookUrl": "https://hooks.example.invalid/"} if hook else {})
    await client.post("/api/query", json={"query": "same"})
    if hook:
        assert await run(server.url)
    for number in range(60):
        key = {"Idempotency-Key": f"{number}"} if headers else {}
        answer = await client.post("/api/query", json=body, headers=key)
        if answer.status_code == 429:
            break
    assert (answer.json().get("code"), number <= most) == ("caller_storage_full", True), number


async def test_webhooks_of_cached_answers_count_their_bytes(connect, server, store):
    client = await connect(CALLER_MAX_BYTES="50000", WEBHOOK_SECRET="whsec_" + "A" * 44)
    assert (await client.post("/api/query", json={"query": "same"})).status_code == 202
    assert await run(server.url)
    body = {"query": "same", "metadata": META, "webhookUrl": "https://hooks.example.invalid/"}
    accepted, problem = await posted_until_refused(client, "/api/query", body)
    assert (accepted, problem["code"]) == (5, "caller_storage_full")
    assert (await client.post("/api/query", json={"query": "same"})).json()["status"] == "cached"
    [job] = store.zrange(keys.EXPIRES, 0, -1)
    await operations.forget(async_client(server.url), job)
    assert store.hgetall(keys.BYTES) == {}


async def test_keys_of_cached_answers_count_their_bytes(connect, server, store):
    """Catches a caller that fills Redis with the records of Idempotency-Keys, which last a day."""
    client = await connect(CALLER_MAX_BYTES="5000")
    assert (await client.post("/api/query", json={"query": "same"})).status_code == 202
    assert await run(server.url)
    for number in range(20):
        answer = await client.post("/api/query", json={"query": "same"}, headers={"Idempotency-Key": f"{number}"})
        if answer.status_code == 429:
            break
    assert (number, answer.json()["code"]) == (13, "caller_storage_full")
    again = await client.post("/api/query", json={"query": "same"}, headers={"Idempotency-Key": "0"})
    assert (again.json()["status"], again.headers["Idempotent-Replayed"]) == ("cached", "true")
    [job] = store.zrange(keys.EXPIRES, 0, -1)
    await operations.forget(async_client(server.url), job)
    [name] = store.zrange(keys.SESSIONS, 0, -1)
    store.zadd(keys.SESSIONS, {name: 1})
    with sync_client(server.url) as sync:
        maintenance.forget_expired(sync)
    assert store.hgetall(keys.BYTES) == {}


async def test_the_data_of_a_batch_counts_its_bytes(connect, server, store):
    client = await connect(CALLER_MAX_BYTES="50000")
    accepted, problem = await posted_until_refused(
        client, "/api/batches", {"queries": [{"query": "x", "customId": "c" * 60}], "metadata": META}
    )
    assert (accepted, problem["code"]) == (6, "caller_storage_full")


async def test_jobs_that_are_cancelled_at_once_fill_the_bytes_too(connect, server, store):
    """Catches a caller that fills Redis with the records of jobs without content."""
    client = await connect(CALLER_MAX_BYTES="10000")
    count = 0
    while (answer := await client.post("/api/query", json={"query": "x"})).status_code == 202:
        await client.delete(f"/api/query/{answer.json()['jobId']}")
        count += 1
        assert count < 20
    assert (count, answer.json()["code"]) == (10, "caller_storage_full")
