"""Batches in the store and through the API: atomic, always counted right, reported by one webhook."""

import json
import socket
import threading

import pytest

from functions.worker.webhooks.dispatcher import event_of
from shared.api.ids import new_id
from shared.services import allowed
from shared.store import keys
from shared.store.callers import callers
from shared.store.jobs import batches, maintenance, operations
from shared.store.redis.client import async_client
from shared.store.webhooks import outbox
from tests.support.lossy_proxy import LossyProxy
from tests.support.slot import ERROR, run

UNKNOWN = "019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22"
OPEN = {"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}


def many(count, **fields):
    return {"queries": [{"query": f"q{number}", "customId": f"c{number}"} for number in range(count)], **fields}


async def test_results_are_in_order_and_counts_always_add_up(connect, server):
    client = await connect(server.url)
    answer = await client.post("/api/batches", json=many(5, metadata={"team": "a"}))
    assert (answer.status_code, answer.json()["metadata"]) == (202, {"team": "a"})
    place = answer.headers["location"]
    assert (await client.get(f"{place}/results")).json()["code"] == "not_finished"
    for done in range(5):
        counts = (await client.get(place)).json()["counts"]
        assert (counts["waiting"], counts["completed"] + counts["failed"]) == (5 - done, done)
        assert sum(counts.values()) - counts["total"] == counts["total"] == 5
        await run(server.url, ERROR if done == 2 else None)
    ended = (await client.get(place)).json()
    assert (ended["state"], ended["counts"]["failed"]) == ("ended", 1)
    results = await client.get(f"{place}/results")
    assert results.headers["content-type"].startswith("application/jsonl")
    lines = [json.loads(line) for line in results.text.splitlines()]
    assert [(line["index"], line["customId"], line["state"]) for line in lines] == [
        (number, f"c{number}", "failed" if number == 2 else "completed") for number in range(5)
    ]
    assert (lines[2]["error"]["code"], lines[4]["result"]["response"]) == ("server_error", "4")


async def test_one_webhook_reports_the_end_of_a_batch(connect, server, store):
    client = await connect(server.url, **OPEN)
    body = many(3, webhookUrl="http://127.0.0.1:9/")
    batch = (await client.post("/api/batches", json=body)).json()["batchId"]
    for _ in range(3):
        assert store.zcard(keys.DUE) == 0
        await run(server.url)
    [leased], _ = await outbox.lease(async_client(server.url), 10, {}, per_host=10)
    webhook = await outbox.read(async_client(server.url), leased)
    assert webhook is not None
    payload = json.loads(event_of(webhook).model_dump_json(by_alias=True))
    assert (payload["type"], payload["data"]["batchId"]) == ("batch.ended", batch)
    assert payload["data"]["counts"]["completed"] == 3


async def test_a_retried_job_reopens_its_batch_and_sends_another_event(connect, server, store):
    client = await connect(server.url, **OPEN)
    body = many(2, webhookUrl="http://127.0.0.1:9/")
    place = (await client.post("/api/batches", json=body)).headers["location"]
    failed = await run(server.url, ERROR)
    assert failed is not None
    await run(server.url)
    assert (await client.get(place)).json()["state"] == "ended"
    assert await operations.retry(async_client(server.url), failed) == "waiting"
    again = (await client.get(place)).json()
    assert (again["state"], again["counts"]["waiting"], again["counts"]["failed"]) == ("running", 1, 0)
    assert store.zcard(keys.DUE) == 0  # the pending webhook is no longer true
    await run(server.url)
    assert (await client.get(place)).json()["counts"]["completed"] == 2
    assert store.zcard(keys.DUE) == 1


async def test_cancelling_a_batch_keeps_finished_results(connect, server):
    client = await connect(server.url)
    place = (await client.post("/api/batches", json=many(150))).headers["location"]
    await run(server.url)
    ended = (await client.delete(place)).json()
    assert ended["state"] == "ended"
    assert (ended["counts"]["completed"], ended["counts"]["cancelled"]) == (1, 149)
    assert await run(server.url) is None
    states = [json.loads(line)["state"] for line in (await client.get(f"{place}/results")).text.splitlines()]
    assert states == ["completed"] + ["cancelled"] * 149


async def test_retrying_a_job_of_a_cancelled_batch_reopens_it(connect, server):
    client = await connect(server.url)
    place = (await client.post("/api/batches", json=many(2))).headers["location"]
    name = place.replace("/api/batches/", "/v1/messages/batches/msgbatch_")
    await client.delete(place)
    [job, _] = [json.loads(line)["jobId"] for line in (await client.get(f"{place}/results")).text.splitlines()]
    assert await operations.retry(async_client(server.url), job) == "waiting"
    assert (await client.get(place)).json()["state"] == "running"
    assert (await client.get(name)).json()["processing_status"] == "in_progress"


async def test_one_invalid_query_refuses_the_batch_and_is_named(connect, server, store):
    client = await connect(server.url, MAX_QUERY_BYTES="10")
    body = {"queries": [{"query": "fine"}, {"query": "x" * 11}]}
    refused = await client.post("/api/batches", json=body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/queries/1/query"
    assert (await client.post("/api/batches", json=many(1001))).status_code == 422
    assert (await client.post("/api/batches", json={"queries": []})).status_code == 422
    assert store.zcard(keys.WAITING) == 0


async def test_a_batch_too_large_for_the_queue_is_refused_whole(connect, server, store):
    client = await connect(server.url, MAX_QUEUE_DEPTH="5")
    assert (await client.post("/api/batches", json=many(6))).json()["code"] == "queue_full"
    assert store.zcard(keys.WAITING) == 0
    assert (await client.post("/api/batches", json=many(5))).status_code == 202


async def test_results_of_a_batch_are_cached_whatever_their_custom_id(connect, server):
    client = await connect(server.url)
    await client.post("/api/batches", json={"queries": [{"query": "q", "customId": "a"}]})
    first = await run(server.url)
    answer = (await client.post("/api/query", json={"query": "q"})).json()
    assert (answer["status"], answer["jobId"]) == ("cached", first)


async def test_the_same_key_and_body_return_the_first_batch(connect, server, store):
    client = await connect(server.url)
    header = {"Idempotency-Key": "k"}
    first = await client.post("/api/batches", json=many(2), headers=header)
    again = await client.post("/api/batches", json=many(2), headers=header)
    assert again.json()["batchId"] == first.json()["batchId"]
    assert again.headers["idempotent-replayed"] == "true"
    for body in (many(3), many(2, metadata={"a": "b"}), many(2, webhookUrl="https://example.com/")):
        other = await client.post("/api/batches", json=body, headers=header)
        assert other.json()["code"] == "idempotency_mismatch"
    assert store.zcard(keys.WAITING) == 2


async def test_a_batch_resent_after_a_lost_reply_exists_once(connect, server, store):
    with LossyProxy(server.port) as proxy:
        client = await connect(proxy.url)
        await client.post("/api/batches", json=many(2))
        proxy.lose(b"its reply is lost")
        answer = await client.post("/api/batches", json=many(3, metadata={"why": "its reply is lost"}))
        assert proxy.lost == 1
        assert answer.status_code == 202
        assert (await client.get(answer.headers["location"])).json()["counts"]["waiting"] == 3
    assert store.zcard(keys.WAITING) == 5


async def test_results_are_kept_until_the_batch_expires_as_a_whole(connect, server, store):
    client = await connect(server.url, CACHE_TTL="0")
    place = (await client.post("/api/batches", json=many(2))).headers["location"]
    first = await run(server.url, keep_for=0)
    maintenance.forget_expired(store)
    assert (await client.get(f"/api/query/{first}")).status_code == 200
    await run(server.url, keep_for=0)
    maintenance.forget_expired(store)
    assert (await client.get(place)).status_code == 404
    assert not [name for name in store.keys("cg:*") if ":batch" in name or first in name]


async def test_a_result_deleted_during_the_batch_is_a_line_without_a_state(connect, server, store):
    client = await connect(server.url)
    place = (await client.post("/api/batches", json=many(3))).headers["location"]
    gone = await run(server.url)
    assert gone is not None
    assert await operations.forget(async_client(server.url), gone) == 1
    for _ in range(2):
        await run(server.url)
    assert store.hgetall(keys.job(gone)) == {}
    lines = [json.loads(line) for line in (await client.get(f"{place}/results")).text.splitlines()]
    assert [line["state"] for line in lines] == [None, "completed", "completed"]
    name = place.replace("/api/batches/", "/v1/messages/batches/msgbatch_")
    theirs = [json.loads(line) for line in (await client.get(f"{name}/results")).text.splitlines()]
    assert [line["result"]["type"] for line in theirs] == ["expired", "succeeded", "succeeded"]


async def test_all_hosts_of_a_batch_are_resolved_within_one_timeout(connect, server, monkeypatch):
    client = await connect(server.url, **OPEN)
    await client.get("/health")  # opens a connection to the store
    monkeypatch.setattr(allowed, "_RESOLVE_WITHIN", 0.2)
    looked_up, ends = [], threading.Event()

    def never(host, *_args, **_options):
        looked_up.append(host)
        ends.wait(30)

    monkeypatch.setattr(socket, "getaddrinfo", never)
    queries = [{"query": "q", "webhookUrl": f"https://{number}.example/"} for number in range(9)]
    answer = await client.post("/api/batches", json={"queries": queries})
    ends.set()
    assert (answer.status_code, looked_up) == (202, ["0.example"])


async def test_pages_of_batches_reach_the_oldest_and_back(connect, server, store):
    client = await connect(server.url)
    made = [(await client.post("/api/batches", json=many(1))).json()["batchId"] for _ in range(5)]

    async def page(**parameters):
        listed = (await client.get("/v1/messages/batches", params={"limit": 2, **parameters})).json()
        return [made.index(batch["id"].removeprefix("msgbatch_")) for batch in listed["data"]], listed["has_more"]

    assert await page() == await page(beta="true") == ([4, 3], True)
    assert await page(after_id=f"msgbatch_{made[3]}") == ([2, 1], True)
    assert await page(after_id=made[1]) == ([0], False)
    assert await page(before_id=made[1]) == ([3, 2], True)
    assert await page(before_id=made[3]) == ([4], False)
    gone = new_id()
    assert (await page(after_id=gone), await page(before_id=gone)) == (([], False), ([1, 0], True))


@pytest.mark.parametrize(
    "parameter",
    [
        "limit=0", "limit=x", "limit=", "limit=101", "limit=0000000010000", f"limit=1{'0' * 30}",
        f"limit=000000001{'0' * 5000}", "limit=\u0665", "limit=-1", "after_id=x", "before_id=",
        f"before_id={UNKNOWN}&after_id={UNKNOWN}", "foo=1", "foo=1&limit=1", "beta=false",
    ],
)  # fmt: skip
async def test_an_invalid_page_parameter_is_refused_by_name(connect, server, parameter):
    client = await connect(server.url)
    answer = await client.get(f"/v1/messages/batches?{parameter}")
    assert (answer.status_code, answer.json()["error"]["message"].split(":")[0]) == (400, parameter.partition("=")[0])


def ask(custom_id="a", **params):
    """Return a request of a message batch."""
    wanted = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "q"}]}
    return {"custom_id": custom_id, "params": {**wanted, **params}}


def schemed(schema):
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (ask(custom_id="a b"), "requests.1.custom_id"),
        (ask(custom_id="x" * 65), "requests.1.custom_id"),
        (ask(max_tokens=0), "requests.1.params.max_tokens"),
        (ask(messages=[{"role": "user", "content": " "}]), "requests.1.params.messages.0.content"),
        (ask(messages=[{"role": "user", "content": "x" * 11}]), "requests.1.params.messages.0.content"),
        (ask(metadata={"user_id": 7}), "requests.1.params.metadata.user_id"),
        (ask(output_config={"effort": "most"}), "requests.1.params.output_config.effort"),
        (ask(**schemed({"$ref": "https://example.com/x"})), "requests.1.params.output_config.format.schema"),
        (ask(query="q"), "requests.1.params.query"),
    ],
)
async def test_an_error_of_the_messages_api_uses_its_field_names(connect, server, wrong, named):
    client = await connect(server.url, MAX_QUERY_BYTES="10")
    body = json.dumps({"requests": [ask("first"), wrong]})
    answer = await client.post("/v1/messages/batches", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert answer.json()["error"]["message"].split(": ")[0] == named


async def test_an_error_of_our_own_api_uses_our_field_names(connect, server):
    client = await connect(server.url)
    query = {"query": "q", "outputSchema": {"type": "object", "$ref": "https://example.com/x"}}
    refused = await client.post("/api/batches", json={"queries": [query]})
    assert refused.json()["errors"][0]["pointer"] == "/queries/0/outputSchema"


async def test_another_callers_batch_does_not_exist(connect, server):
    client = await connect(server.url, AUTH_ENABLED="true")
    made = [await callers.create(async_client(server.url), name) for name in ("ann", "bob")]
    ann, bob = ({"Authorization": f"Bearer {one.key}"} for one in made)
    place = (await client.post("/api/batches", json=many(1), headers=ann)).headers["location"]
    name = place.replace("/api/batches/", "/v1/messages/batches/msgbatch_")
    assert (await client.get(place, headers=ann)).status_code == 200
    for ask in (client.get(place, headers=bob), client.get(f"{place}/results", headers=bob),
                client.delete(place, headers=bob), client.get(name, headers=bob),
                client.post(f"{name}/cancel", headers=bob)):  # fmt: skip
        assert (await ask).status_code == 404
    assert (await client.get("/v1/messages/batches", headers=bob)).json()["data"] == []


@pytest.mark.parametrize("batch_id", ["nonsense", UNKNOWN])
async def test_an_unknown_batch_is_a_problem_of_its_own(connect, server, batch_id):
    client = await connect(server.url)
    assert (await client.get(f"/api/batches/{batch_id}")).json()["code"] == "not_found"
    assert await batches.read(async_client(server.url), batch_id, "anonymous") is None


@pytest.mark.parametrize("path", ["/api/batches/", "/v1/messages/batches/msgbatch_", "/v1/responses/resp_"])
async def test_a_store_outage_is_reported_by_every_api_and_logged(connect, unused_tcp_port, caplog, path):
    client = await connect(f"redis://127.0.0.1:{unused_tcp_port}/0")
    answer = await client.get(f"{path}{UNKNOWN}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "redis_failed" in caplog.messages


async def test_a_job_of_a_batch_names_it(connect, server):
    client = await connect(server.url)
    batch = (await client.post("/api/batches", json=many(1))).json()["batchId"]
    alone = (await client.post("/api/query", json={"query": "alone"})).json()["jobId"]
    listed = (await client.get("/api/query")).json()["jobs"]
    assert [one["batchId"] for one in listed] == [None, batch]
    for job in listed:
        assert (await client.get(f"/api/query/{job['jobId']}")).json()["batchId"] == job["batchId"]
    assert listed[0]["jobId"] == alone


async def test_batches_are_listed_in_pages_to_their_caller_only(connect, server):
    client = await connect(server.url)
    assert (await client.get("/api/batches")).json() == {"batches": [], "nextCursor": None}
    made = [(await client.post("/api/batches", json=many(2))).json() for _ in range(3)]
    first = (await client.get("/api/batches", params={"limit": 2})).json()
    assert first["batches"] == [made[2], made[1]]
    rest = (await client.get("/api/batches", params={"limit": 2, "cursor": first["nextCursor"]})).json()
    assert rest == {"batches": [made[0]], "nextCursor": None}
    key = (await callers.create(async_client(server.url), "another")).key
    theirs = await connect(server.url, AUTH_ENABLED="true")
    answer = await theirs.get("/api/batches", headers={"X-API-Key": key})
    assert answer.json() == {"batches": [], "nextCursor": None}


@pytest.mark.parametrize("parameter", ["limit=0", "limit=101", "limit=x", "cursor=x", "cursor=-1", "state=ended"])
async def test_an_invalid_page_of_batches_is_refused_by_name(connect, server, parameter):
    client = await connect(server.url)
    answer = await client.get(f"/api/batches?{parameter}")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"/{parameter.partition('=')[0]}")
