"""The first answer under an Idempotency-Key is repeated, whatever has happened to the job since."""

import asyncio
import json
from typing import Any

import pytest

from shared.store import keys
from shared.store.jobs import maintenance, operations
from shared.store.redis.client import async_client
from tests.support.slot import ERROR, RESULT, run, take

HEADER = {"Idempotency-Key": "k"}
DAY = 86_400
GONE = ["expired", "reaped", "purged", "deleted"]
RESPONSE = {"model": "m", "input": "q", "background": True}
MESSAGES = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "q"}]}
SUBMISSIONS: dict[str, dict[str, Any]] = {
    "/api/query": {"query": "q", "cache": {"mode": "bypass"}},
    "/api/batches": {"queries": [{"query": "q"}, {"query": "r"}], "metadata": {"a": "b"}},
    "/v1/messages/batches": {"requests": [{"custom_id": "a", "params": MESSAGES}]},
    "/v1/responses": {**RESPONSE, "metadata": {"a": "b"}, "text": {"format": {"type": "json_schema", "schema": {}}}},
}


async def forget(server, store, how, keep_for=60):
    """Run the waiting job, and remove it in one of several ways."""
    client, done = async_client(server.url), []
    while job_id := await run(server.url, keep_for=0 if how in {"expired", "reaped"} else keep_for):
        done.append(job_id)
    if how == "reaped":
        maintenance.forget_expired(store)
    elif how == "purged":
        await operations.forget_finished(client)
    elif how == "deleted":
        await operations.forget(client, *done)
    return done


def record(store):
    [name] = store.scan_iter("cg:idem:*")
    return name


@pytest.mark.parametrize("how", GONE)
@pytest.mark.parametrize("path", SUBMISSIONS)
async def test_the_first_answer_is_repeated_when_the_job_is_gone(connect, server, store, path, how):
    client = await connect()
    first = await client.post(path, json=SUBMISSIONS[path], headers=HEADER)
    assert first.status_code in {200, 202}, first.text
    assert "idempotent-replayed" not in first.headers
    assert await forget(server, store, how)
    again = await client.post(path, json=SUBMISSIONS[path], headers=HEADER)
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status_code, again.text) == (first.status_code, first.text)
    assert again.headers.get("location") == first.headers.get("location")
    assert store.zcard(keys.WAITING) == 0


@pytest.mark.parametrize("path", SUBMISSIONS)
async def test_another_body_is_refused_when_the_job_is_gone(connect, server, store, path):
    client = await connect()
    await client.post(path, json=SUBMISSIONS[path], headers=HEADER)
    await forget(server, store, "deleted")
    other = json.loads(json.dumps(SUBMISSIONS[path]).replace('"q"', '"other"'))
    answer = await client.post(path, json=other, headers=HEADER)
    assert answer.status_code in {400, 422}
    assert "Idempotency-Key" in answer.text
    assert store.zcard(keys.WAITING) == 0


@pytest.mark.parametrize("path", SUBMISSIONS)
async def test_a_replay_answers_a_live_job_as_it_was_accepted(connect, server, path):
    client = await connect()
    first = await client.post(path, json=SUBMISSIONS[path], headers=HEADER)
    await take(server.url)
    assert (await client.post(path, json=SUBMISSIONS[path], headers=HEADER)).text == first.text


@pytest.mark.parametrize("how", GONE)
async def test_a_cached_first_answer_is_repeated_with_its_result(connect, server, store, how):
    client = await connect()
    body = {"query": "cached"}
    await client.post("/api/query", json=body)
    await run(server.url, keep_for=60)
    first = await client.post("/api/query", json=body, headers=HEADER)
    assert (first.status_code, first.json()["status"]) == (200, "cached")
    job_id = first.json()["jobId"]
    if how in {"expired", "reaped"}:
        store.hset(keys.job(job_id), "expires", 1)
        store.zadd(keys.EXPIRES, {job_id: 1})
    await forget(server, store, how)
    await operations.clear_cache(async_client(server.url))
    if how == "deleted":
        await operations.forget(async_client(server.url), job_id)
    again = await client.post("/api/query", json=body, headers=HEADER)
    assert (again.status_code, again.text) == (200, first.text)
    assert again.headers["idempotent-replayed"] == "true"
    assert 0 < store.ttl(record(store)) <= DAY


@pytest.mark.parametrize("how", GONE)
async def test_a_duplicate_first_answer_is_repeated(connect, server, store, how):
    client = await connect(DEDUP_ENABLED="true")
    body = {"query": "joined", "cache": {"ttl": 1}}
    leader = (await client.post("/api/query", json=body)).json()["jobId"]
    first = await client.post("/api/query", json=body, headers=HEADER)
    assert (first.json()["status"], first.json()["jobId"]) == ("duplicate", leader)
    await forget(server, store, how)
    await operations.clear_cache(async_client(server.url))
    again = await client.post("/api/query", json=body, headers=HEADER)
    assert (again.status_code, again.text) == (202, first.text)


async def test_one_copy_of_a_result_serves_all_keys(connect, server, store):
    client = await connect()
    await client.post("/api/query", json={"query": "cached"})
    await run(server.url)
    for number in range(3):
        await client.post("/api/query", json={"query": "cached"}, headers={"Idempotency-Key": f"k{number}"})
    assert len(list(store.scan_iter("cg:kept:*"))) == 1


async def test_prefer_wait_answers_202_for_a_job_that_is_gone(connect, server, store):
    client = await connect()
    first = await client.post("/api/query", json={"query": "q"}, headers=HEADER)
    await forget(server, store, "purged")
    again = await client.post("/api/query", json={"query": "q"}, headers={**HEADER, "Prefer": "wait=5"})
    assert (again.status_code, again.text) == (202, first.text)


async def test_prefer_wait_applies_again_to_a_finished_job(connect, server):
    client = await connect()
    await client.post("/api/query", json={"query": "q"}, headers=HEADER)
    await run(server.url)
    again = await client.post("/api/query", json={"query": "q"}, headers={**HEADER, "Prefer": "wait=5"})
    assert (again.status_code, again.json()["state"]) == (200, "completed")
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("path", ["/api/query", "/api/batches"])
async def test_a_key_is_kept_while_its_job_has_not_ended(connect, server, store, path):
    client = await connect()
    await client.post(path, json=SUBMISSIONS[path], headers=HEADER)
    assert store.ttl(record(store)) > 30 * DAY
    # The job took 25 hours: its client may retry when it ends.
    store.hincrby(record(store), "at", -25 * 3_600_000)
    await forget(server, store, "kept")
    assert 3_590 < store.ttl(record(store)) <= 3_600


@pytest.mark.parametrize("outcome", [None, ERROR])
async def test_a_key_expires_a_day_after_its_first_answer(connect, server, store, outcome):
    client = await connect(RESULT_TTL="604800")
    await client.post("/api/query", json={"query": "q"}, headers=HEADER)
    store.hincrby(record(store), "at", -3_600_000)
    await run(server.url, outcome, keep_for=604_800)
    assert DAY - 3_610 < store.ttl(record(store)) <= DAY - 3_600


async def test_a_cancelled_job_keeps_its_key(connect, store):
    client = await connect(RESULT_TTL="1")
    first = await client.post("/api/query", json={"query": "q"}, headers=HEADER)
    await client.delete(first.headers["location"])
    assert 0 < store.ttl(record(store)) <= DAY
    again = await client.post("/api/query", json={"query": "q"}, headers=HEADER)
    assert (again.text, again.headers["idempotent-replayed"]) == (first.text, "true")


async def test_a_retried_job_keeps_its_key_until_it_ends(connect, server, store):
    client = await connect()
    job_id = (await client.post("/api/query", json={"query": "q"}, headers=HEADER)).json()["jobId"]
    await run(server.url, ERROR)
    await operations.retry(async_client(server.url), job_id)
    assert store.ttl(record(store)) > 30 * DAY
    await run(server.url)
    assert store.ttl(record(store)) <= DAY


async def test_a_key_that_now_names_another_job_is_left_alone(connect, server, store):
    client = await connect()
    await client.post("/api/query", json={"query": "q"}, headers=HEADER)
    store.hset(record(store), "job", "another")
    await run(server.url)
    assert store.ttl(record(store)) > 30 * DAY


@pytest.mark.parametrize("path", SUBMISSIONS)
async def test_equal_submissions_at_once_make_one_job(connect, server, store, path):
    client = await connect()
    posts = [client.post(path, json=SUBMISSIONS[path], headers=HEADER) for _ in range(8)]
    answers = await asyncio.gather(*posts)
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 7
    assert store.zcard(keys.WAITING) == len(SUBMISSIONS[path].get("queries", [None]))


async def test_a_field_with_its_default_value_equals_an_absent_one(connect, store):
    client = await connect()
    await client.post("/api/query", json={"query": "q"}, headers=HEADER)
    body = {"query": "q", "priority": "normal", "cache": {"mode": "default"}, "tools": [], "metadata": {}}
    assert (await client.post("/api/query", json=body, headers=HEADER)).status_code == 202
    assert store.zcard(keys.WAITING) == 1


async def test_a_response_is_replayed_when_its_predecessor_is_gone(connect, server, store):
    client = await connect()
    previous = (await client.post("/v1/responses", json=RESPONSE)).json()["id"]
    await run(server.url, {"result": {**RESULT, "sessionId": previous}})
    body = {**RESPONSE, "previous_response_id": previous}
    first = await client.post("/v1/responses", json=body, headers=HEADER)
    assert first.json()["previous_response_id"] == previous
    await forget(server, store, "purged")
    assert (await client.post("/v1/responses", json=body)).status_code == 400
    again = await client.post("/v1/responses", json=body, headers=HEADER)
    assert (again.status_code, again.text) == (200, first.text)
    other = await client.post("/v1/responses", json={**body, "input": "other"}, headers=HEADER)
    assert (other.status_code, "Idempotency-Key" in other.text) == (400, True)


async def test_a_replayed_stream_of_a_forgotten_response_ends_with_an_error(connect, server, store):
    client = await connect()
    body = {**RESPONSE, "stream": True}
    made = await client.post("/v1/responses", json=RESPONSE, headers=HEADER)
    await forget(server, store, "purged")
    async with asyncio.timeout(5):
        text = (await client.post("/v1/responses", json=body, headers=HEADER)).text
    events = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
    assert [event["type"] for event in events] == ["response.created", "response.queued", "error"]
    assert events[0]["response"]["id"] == made.json()["id"]


async def test_a_replay_is_one_round_trip(connect, server, store, round_trips):
    client = await connect()
    for path, body in SUBMISSIONS.items():
        await client.post(path, json=body, headers={"Idempotency-Key": path.replace("/", "-")})
    await forget(server, store, "purged")
    for path, body in SUBMISSIONS.items():
        round_trips.clear()
        answer = await client.post(path, json=body, headers={"Idempotency-Key": path.replace("/", "-")})
        assert answer.headers["idempotent-replayed"] == "true"
        assert len(round_trips) == 1, path
