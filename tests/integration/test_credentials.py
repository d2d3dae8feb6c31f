"""Callers' credentials: stored sealed, shown without their value, named by jobs."""

import json
import logging
from urllib.parse import quote

import pytest

from shared import sealing
from shared.api.credentials import MAX_CREDENTIALS, MAX_HOST, MAX_HOSTS, MAX_VALUE
from shared.store import keys
from shared.store.callers import callers, credentials
from shared.store.jobs import claims
from shared.store.redis.client import async_client
from tests.support.slot import pop_one, run

PUBLIC, PRIVATE = sealing.new_pair()
SECRET = "sk-ant-of-the-caller-0123456789"
MINE = {"kind": "anthropic_api_key", "value": SECRET}


@pytest.fixture
async def client(connect):
    return await connect(CREDENTIALS_PUBLIC_KEY=PUBLIC, DEDUP_ENABLED="true")


async def put(client, name="mine", **fields):
    return await client.put(f"/api/credentials/{name}", json={**MINE, **fields})


async def submit(client, query="q", **fields):
    return await client.post("/api/query", json={"query": query, **fields})


async def test_a_credential_is_stored_listed_read_and_deleted(client):
    made = await put(client, hosts=["API.anthropic.com"])
    assert made.status_code == 201
    assert made.json().keys() == {"name", "kind", "hosts", "createdAt", "updatedAt", "lastUsedAt"}
    assert made.json()["hosts"] == ["api.anthropic.com"]
    again = await put(client, value="another-value")
    assert again.status_code == 200
    assert again.json()["createdAt"] == made.json()["createdAt"]
    read = await client.get("/api/credentials/mine")
    assert (read.status_code, read.json()) == (200, again.json())
    assert (await client.get("/api/credentials")).json() == {"credentials": [again.json()]}
    deleted = await client.delete("/api/credentials/mine")
    assert (deleted.status_code, deleted.content) == (204, b"")
    for method in ("GET", "DELETE"):
        gone = await client.request(method, "/api/credentials/mine")
        assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
    assert (await client.get("/api/credentials")).json() == {"credentials": []}


async def test_the_value_is_in_no_answer_no_log_and_not_in_redis(client, store, caplog):
    """Catches a value that is stored, logged or repeated in the clear."""
    caplog.set_level(logging.DEBUG)
    answers = [await put(client), await client.get("/api/credentials/mine"), await client.get("/api/credentials")]
    # Wrong in other places: an error must not repeat the value.
    wrong = ({"kind": "password"}, {"hosts": ["not a host"]}, {"more": 1}, {"value": [SECRET]})
    answers += [await put(client, **fields) for fields in wrong]
    answers.append(await put(client, value=SECRET + "\n"))
    answers.append(await client.put("/api/credentials/mine", content=f'{{"value": "{SECRET}", "kind"}}'.encode()))
    answers.append(await submit(client, credential="mine"))
    answers.append(await client.get(f"/api/query/{answers[-1].json()['jobId']}"))
    assert [answer.status_code for answer in answers[3:8]] == [422] * 5
    assert not [answer.text for answer in answers if SECRET in answer.text]
    assert SECRET not in caplog.text
    readers = {"string": store.get, "hash": store.hgetall}
    kept = [readers[kind](key) for key in store.scan_iter() if (kind := store.type(key)) in readers]
    assert any("sealed" in str(value) for value in kept)
    assert SECRET not in str(kept)


LONG_HOST = ".".join(["a" * 60] * 5)
WRONG = [
    ({"kind": "password"}, "/kind", "anthropic_api_key"),
    ({"kind": None}, "/kind", "anthropic_api_key"),
    ({"value": ""}, "/value", f"1 to {MAX_VALUE} characters"),
    ({"value": "x" * (MAX_VALUE + 1)}, "/value", f"1 to {MAX_VALUE} characters"),
    ({"value": "at its end "}, "/value", "visible ASCII"),
    ({"value": "x\r\nx-api-key: y"}, "/value", "visible ASCII"),
    ({"value": "schlüssel"}, "/value", "visible ASCII"),
    ({"kind": "header", "value": " Bearer x"}, "/value", "visible ASCII"),
    ({"kind": "header", "value": "Bearer x\n"}, "/value", "visible ASCII"),
    ({"kind": "git", "value": "user:to\tken"}, "/value", "visible ASCII"),
    ({"hosts": [f"h{number}.example" for number in range(MAX_HOSTS + 1)]}, "/hosts", f"{MAX_HOSTS} hosts"),
    ({"hosts": [LONG_HOST]}, "/hosts", f"{MAX_HOST} characters"),
    ({"hosts": ["https://git.example.com"]}, "/hosts", "host names"),
    ({"hosts": ["git.example.com:443"]}, "/hosts", "host names"),
    ({"hosts": ["*"]}, "/hosts", "host names"),
    ({"hosts": [""]}, "/hosts", "host names"),
    ({"hosts": "git.example.com"}, "/hosts", "array"),
    ({"unknown": 1}, "/unknown", "unknown field"),
]


@pytest.mark.parametrize(("fields", "pointer", "message"), WRONG)
async def test_a_field_above_its_limits_is_refused_by_name(client, store, fields, pointer, message):
    answer = await put(client, **fields)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    [error] = [error for error in answer.json()["errors"] if error["pointer"].startswith(pointer)]
    assert message in error["message"]
    assert not store.exists(keys.credentials(keys.ANONYMOUS))


@pytest.mark.parametrize("fields", [
    {"value": "x" * MAX_VALUE}, {"kind": "header", "value": "Bearer x y"}, {"kind": "git", "value": "user:token"},
    {"hosts": [f"h{number}.example" for number in range(MAX_HOSTS)]}, {"hosts": ["*.example.com", "127.0.0.1"]},
])  # fmt: skip
async def test_a_credential_at_its_limits_is_stored(client, fields):
    assert (await put(client, **fields)).status_code == 201


@pytest.mark.parametrize("name", ["-x", ".", "..", "a b", "a" * 65, "ä", "a%2Fb", "%00", "%ed%a0%80", "a\n", ".hidden"])
async def test_no_other_name_is_taken(client, name):
    path = f"/api/credentials/{name if '%' in name else quote(name)}"
    answer = await client.put(path, json=MINE)
    # A client drops the segments `.` and `..`, and the emptied path takes no PUT.
    assert answer.status_code in {404, 405, 422}, answer.text
    for method in ("GET", "DELETE"):
        assert (await client.request(method, path)).status_code in {200, 404, 405}
    assert (await client.get("/api/credentials")).json() == {"credentials": []}


async def test_names_that_differ_are_different_credentials(client):
    for name in ("a", "A", "a.b", "a" * 64, "0"):
        assert (await put(client, name)).status_code == 201
    listed = (await client.get("/api/credentials")).json()["credentials"]
    assert [one["name"] for one in listed] == ["0", "A", "a", "a.b", "a" * 64]


async def test_a_caller_can_have_only_so_many_credentials(client):
    for number in range(MAX_CREDENTIALS):
        assert (await put(client, f"c{number}")).status_code == 201
    refused = await put(client, "another")
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_credentials")
    assert str(MAX_CREDENTIALS) in refused.json()["detail"]
    assert (await put(client, "c0")).status_code == 200
    await client.delete("/api/credentials/c1")
    assert (await put(client, "another")).status_code == 201


async def test_without_a_public_key_nothing_is_stored(connect, store):
    client = await connect(CREDENTIALS_PUBLIC_KEY="")
    answer = await put(client)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "CREDENTIALS_PUBLIC_KEY" in answer.json()["detail"]
    assert (await client.get("/api/credentials")).json() == {"credentials": []}


@pytest.fixture
async def two(connect, server):
    """Two callers, as headers, and a client."""
    client = await connect(AUTH_ENABLED="true", CREDENTIALS_PUBLIC_KEY=PUBLIC, DEDUP_ENABLED="true")
    made = [await callers.create(async_client(server.url), name) for name in ("one", "other")]
    return client, made, [{"X-API-Key": one.key} for one in made]


async def test_a_credential_of_another_caller_does_not_exist(two):
    client, _, (one, other) = two
    assert (await client.put("/api/credentials/mine", json=MINE)).status_code == 401
    await client.put("/api/credentials/mine", json=MINE, headers=one)
    for method in ("GET", "DELETE"):
        assert (await client.request(method, "/api/credentials/mine", headers=other)).status_code == 404
    assert (await client.get("/api/credentials", headers=other)).json() == {"credentials": []}
    body = {"query": "q", "credential": "mine"}
    assert (await client.post("/api/query", json=body, headers=other)).status_code == 422
    assert (await client.post("/api/query", json=body, headers=one)).status_code == 202


async def test_jobs_of_two_callers_are_not_shared_under_one_name(two, server):
    client, _, headers = two
    body = {"query": "q", "credential": "mine"}
    for one in headers:
        await client.put("/api/credentials/mine", json=MINE, headers=one)
    first, second = [await client.post("/api/query", json=body, headers=one) for one in headers]
    assert (first.json()["status"], second.json()["status"]) == ("queued", "queued")
    assert first.json()["jobId"] != second.json()["jobId"]
    await run(server.url)
    assert (await client.post("/api/query", json=body, headers=headers[0])).json()["status"] == "cached"
    assert (await client.post("/api/query", json=body, headers=headers[1])).json()["status"] == "duplicate"


async def test_revoking_a_key_deletes_its_credentials(two, server, store):
    """Catches secrets that outlive the caller whom they belong to."""
    client, made, headers = two
    for one in headers:
        await client.put("/api/credentials/mine", json=MINE, headers=one)
    assert await callers.revoke(async_client(server.url), made[0].id, keep_for=60)
    assert not store.exists(keys.credentials(made[0].id))
    assert store.exists(keys.credentials(made[1].id))
    # A process may accept the key for seconds; nothing is stored by then.
    answer = await client.put("/api/credentials/mine", json=MINE, headers=headers[0])
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert not store.exists(keys.credentials(made[0].id))


@pytest.mark.parametrize("name", ["missing", "token", "", "a b", 7])
async def test_a_job_cannot_name_a_credential_that_it_cannot_run_on(client, store, name):
    await put(client, "token", kind="git")
    answer = await submit(client, credential=name)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"][0]["pointer"] == "/credential"
    assert not store.exists(keys.WAITING)


async def test_a_batch_names_the_query_whose_credential_is_missing(client, store):
    await put(client)
    queries = [{"query": "0"}, {"query": "1", "credential": "mine"}, {"query": "2", "credential": "missing"}]
    refused = await client.post("/api/batches", json={"queries": queries})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert refused.json()["errors"][0]["pointer"] == "/queries/2/credential"
    assert not store.exists(keys.WAITING)
    accepted = await client.post("/api/batches", json={"queries": queries[:2]})
    assert accepted.status_code == 202
    assert store.zcard(keys.WAITING) == 2


async def test_jobs_share_an_answer_only_on_one_version_of_a_credential(client, server):
    await put(client)
    await put(client, "other")
    own = (await submit(client)).json()
    first = (await submit(client, credential="mine")).json()
    assert first["status"] == "queued"
    assert first["jobId"] != own["jobId"]
    assert (await submit(client, credential="mine")).json()["status"] == "duplicate"
    assert (await submit(client, credential="other")).json()["status"] == "queued"
    # A job on the key that has just been replaced may be about to fail.
    await put(client, value="a-new-value")
    replaced = (await submit(client, credential="mine")).json()
    assert replaced["status"] == "queued"
    for _ in range(4):
        await run(server.url)
    assert (await submit(client, credential="mine")).json()["jobId"] == replaced["jobId"]
    await client.delete("/api/credentials/mine")
    assert (await submit(client, credential="mine")).status_code == 422


async def test_an_idempotent_answer_outlives_the_credential(client):
    await put(client)
    body = {"query": "q", "credential": "mine"}
    first = await client.post("/api/query", json=body, headers={"Idempotency-Key": "k"})
    await client.delete("/api/credentials/mine")
    again = await client.post("/api/query", json=body, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.json()) == (202, first.json())


async def test_a_submission_with_a_credential_takes_one_round_trip(client, server, round_trips):
    await put(client)
    await submit(client, "before", credential="mine")
    round_trips.clear()
    await submit(client, credential="mine")
    assert len(round_trips) == 1


async def test_a_claim_returns_the_credential_as_it_is_now(client, server):
    await put(client)
    await submit(client, "own")
    await submit(client, credential="mine")
    await submit(client, "deleted", credential="mine")
    redis = async_client(server.url)

    async def claimed(slot):
        job = await claims.take(redis, pop_one(server.url), slot)
        assert job is not None
        return job

    assert (await claimed("a")).credential == ""
    await put(client, value="replaced")
    job = await claimed("b")
    stored = credentials.SealedCredential.parse("mine", job.credential)
    described = sealing.Credential(job.caller, "mine", stored.kind, stored.hosts, "")
    assert sealing.open_sealed(stored.sealed, [PRIVATE], described).value == "replaced"
    assert "sealed" not in repr(job)
    await client.delete("/api/credentials/mine")
    last = await claimed("c")
    assert (last.request["credential"], last.credential) == ("mine", "")


async def test_a_put_that_is_sent_again_answers_the_same(client, server, monkeypatch):
    """Catches a lost reply after which a new credential is reported as replaced."""
    monkeypatch.setattr(credentials, "new_id", lambda: "one-version")
    redis = async_client(server.url)

    async def put_once():
        return await credentials.put(redis, "caller", "mine", kind="git", hosts=(), key="k", sealed="s", most=1)

    first = await put_once()
    assert first[0] == "created"
    assert await put_once() == first


async def test_a_new_seal_does_not_undo_a_change(client, server):
    await put(client)
    redis = async_client(server.url)
    [before] = await credentials.every(redis, keys.ANONYMOUS)
    after = before.resealed("another seal", "another key")
    await put(client, value="changed-meanwhile")
    assert not await credentials.replace_seal(redis, keys.ANONYMOUS, before, after)
    [now] = await credentials.every(redis, keys.ANONYMOUS)
    assert await credentials.replace_seal(redis, keys.ANONYMOUS, now, now.resealed("another seal", "another key"))
    [resealed] = await credentials.every(redis, keys.ANONYMOUS)
    assert (resealed.sealed, resealed.updated, resealed.hosts) == ("another seal", now.updated, now.hosts)
    assert json.loads(resealed.entry)["version"] == json.loads(now.entry)["version"], "its cached answers stay"
