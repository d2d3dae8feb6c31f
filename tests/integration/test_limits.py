"""Everything that a client sends and the gateway stores, lists or repeats has a limit."""

import json

import pytest

from shared.api.pages import PAGE_BYTES, fitting
from shared.api.views import delivery_page
from shared.http.body import MAX_DEPTH
from shared.store import keys
from shared.store.jobs import operations, records
from shared.store.redis.client import async_client
from shared.store.webhooks.history import DeliveryAttempt
from tests.support.slot import RESULT, run

MESSAGES = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "q"}]}
# Control characters are the longest in JSON, with six characters each.
FULL = {f"{number:02}".ljust(64, "k"): "\x01" * 512 for number in range(16)}
# One character with the most bytes in UTF-8.
WIDE = {f"{number:02}".ljust(64, "\N{PILE OF POO}"): "\N{PILE OF POO}" * 512 for number in range(16)}
WRONG = [
    ({str(number): "x" for number in range(17)}, "16 keys"),
    ({"k" * 65: "x"}, "64 characters"),
    ({"k": "x" * 513}, "512 characters"),
    ({"k" * 500_000: "x"}, "64 characters"),
]


def bodies(metadata):
    return {
        "/api/query": {"query": "q", "metadata": metadata},
        "/api/batches": {"queries": [{"query": "q"}], "metadata": metadata},
        "/api/batches ": {"queries": [{"query": "q", "metadata": metadata}]},
        "/v1/responses": {"model": "m", "input": "q", "background": True, "metadata": metadata},
        "/v1/messages/batches": {"requests": [{"custom_id": "a", "params": {**MESSAGES, "metadata": metadata}}]},
    }


@pytest.mark.parametrize("path", bodies({}))
@pytest.mark.parametrize(("metadata", "limit"), WRONG, ids=["keys", "key", "value", "huge key"])
async def test_metadata_above_a_limit_is_refused_with_the_limit(connect, store, path, metadata, limit):
    client = await connect()
    answer = await client.post(path.strip(), json=bodies(metadata)[path])
    assert answer.status_code in {400, 422}
    assert "metadata" in answer.text
    assert limit in answer.text
    assert len(answer.content) < 2000
    assert not store.exists(keys.WAITING)


@pytest.mark.parametrize("path", bodies({}))
async def test_metadata_at_its_limits_is_accepted(connect, path):
    client = await connect()
    assert (await client.post(path.strip(), json=bodies(FULL)[path])).status_code in {200, 202}


async def list_all(client, path, headers=None):
    """Read a list page by page; return the ids and the sizes of the pages."""
    seen: list[str] = []
    sizes: list[tuple[int, int]] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = await client.get(f"{path}?limit=100{cursor and f'&cursor={cursor}'}", headers=headers)
        page = answer.json()
        found = [one.get("jobId") or one["batchId"] for one in page.get("jobs") or page["batches"]]
        seen += found
        sizes.append((len(found), len(answer.content)))
        cursor = page["nextCursor"]
    return seen, sizes


@pytest.mark.parametrize("metadata", [FULL, WIDE], ids=["characters", "bytes"])
@pytest.mark.parametrize("path", ["/api/query", "/admin/api/jobs"])
async def test_a_page_of_jobs_ends_at_its_limit_and_the_next_continues(connect, path, metadata):
    client = await connect(ADMIN_ENABLED="true", ADMIN_PASSWORD="long enough to be one")
    auth = {"Authorization": "Basic YWRtaW46bG9uZyBlbm91Z2ggdG8gYmUgb25l"}
    made = []
    for number in range(60):
        body = {"query": f"q{number}", "metadata": metadata}
        made.append((await client.post("/api/query", json=body)).json()["jobId"])
    seen, sizes = await list_all(client, path, auth)
    assert seen == made[::-1]
    assert len(sizes) > 1
    assert all(size < PAGE_BYTES + 10_000 for _, size in sizes)


async def test_a_page_of_batches_ends_at_its_limit_and_the_next_continues(connect):
    client = await connect()
    made = []
    for number in range(40):
        body = {"queries": [{"query": f"q{number}"}], "metadata": WIDE}
        made.append((await client.post("/api/batches", json=body)).json()["batchId"])
    seen, sizes = await list_all(client, "/api/batches")
    assert seen == made[::-1]
    assert len(sizes) == 2
    assert all(size < PAGE_BYTES + 10_000 for _, size in sizes)


async def test_an_item_larger_than_a_page_is_a_page(connect, server, store):
    client = await connect()
    made = [(await client.post("/api/query", json={"query": str(number)})).json()["jobId"] for number in range(3)]
    store.hset(keys.job(made[1]), "meta", json.dumps({"old": "x" * (PAGE_BYTES + 1)}))
    seen, sizes = await list_all(client, "/api/query")
    assert (seen, [count for count, _ in sizes]) == (made[::-1], [1, 1, 1])
    found, _ = await records.page(async_client(server.url), "anonymous", state=None, limit=9, before=None)
    assert len(found) == 3


@pytest.mark.parametrize(("sizes", "count"), [([], 0), ([9], 1), ([4, 4], 2), ([4, 4, 1], 2), ([9, 1], 1)])
def test_a_page_has_what_fits_and_one_item_at_least(sizes, count):
    assert len(fitting(sizes, lambda size: size, 8)) == count


def test_deliveries_continue_where_a_page_ended():
    tries = [
        DeliveryAttempt(
            f"a{number % 3}", "r", "query.completed", "u" * 2000, number, 500, "x" * 500, 1, number // 2, None
        )
        for number in range(2000)
    ]
    tries.sort(key=lambda one: (one.at, one.name, one.number))
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        page, cursor = delivery_page(tries, cursor)
        assert sum(len(one.model_dump_json(by_alias=True)) for one in page) < PAGE_BYTES
        seen += [(one.at, one.id, one.attempt) for one in page]
        pages += 1
    assert pages > 3
    assert len(set(seen)) == len(seen) == 2000


@pytest.mark.parametrize("cursor", ["x", "1_2", "1_2_g", "9" * 20 + "_1_a", "1_1_" + "a" * 61])
async def test_an_invalid_cursor_is_refused_and_not_echoed(connect, cursor):
    client = await connect()
    job_id = (await client.post("/api/query", json={"query": "q"})).json()["jobId"]
    answer = await client.get(f"/api/query/{job_id}/deliveries?cursor={cursor}")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/cursor")
    assert len(answer.content) < 1000


async def test_results_in_lambda_come_in_pages(connect, server, monkeypatch):
    client = await connect(server.url)
    queries = [{"query": f"q{number}", "customId": f"c{number}"} for number in range(5)]
    place = (await client.post("/api/batches", json={"queries": queries})).headers["location"]
    for _ in range(5):
        await run(server.url, {"result": {**RESULT, "response": "x" * 1_500_000}})
    whole = (await client.get(f"{place}/results")).text
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "batches")
    monkeypatch.setenv("AUTH_ENABLED", "false")
    client = await connect(server.url)
    text, path, pages = "", f"{place}/results", 0
    while path:
        answer = await client.get(path)
        assert len(answer.content) <= 4_194_304
        text, pages = text + answer.text, pages + 1
        path = answer.links["next"]["url"] if "next" in answer.links else ""
    assert (text == whole, pages) == (True, 3)
    refused = await client.get(f"/v1/messages/batches/msgbatch_{place.rpartition('/')[2]}/results")
    assert refused.status_code == 400
    assert f"{place}/results" in refused.json()["error"]["message"]
    assert (await client.get(f"{place}/results?cursor=4")).text == whole.splitlines(keepends=True)[4]
    assert (await client.get(f"{place}/results?cursor=x")).status_code == 422


@pytest.mark.slow
async def test_thousands_of_joined_submissions_are_redelivered_at_once(connect, server, store):
    client = await connect(DEDUP_ENABLED="true", WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8")
    body = {"query": "q", "webhookUrl": "http://127.0.0.1:9/"}
    job_id = (await client.post("/api/query", json=body)).json()["jobId"]
    target = "http://127.0.0.1:9/\n127.0.0.1:9\n"
    store.hset(f"cg:job:{job_id}:joined", mapping={f"r{number}": target for number in range(8200)})
    await run(server.url)
    answer = await client.post(f"/api/query/{job_id}/redeliver")
    assert (answer.status_code, len(answer.json()["requestIds"])) == (202, 8201)
    await operations.forget(async_client(server.url), job_id)


DEEP = "[" * 300 + "]" * 300
DIGITS = "1" * 5000


@pytest.mark.parametrize(
    ("text", "pointer", "limit"),
    [
        (f'{{"query": "x", "context": {{"a": [1, {DIGITS}]}}}}', "/context/a/1", "4300 digits"),
        (f'{{"query": "x", "maxTurns": -{DIGITS}}}', "/maxTurns", "4300 digits"),
        (f'{{"query": "x", "z~/": {DIGITS}}}', "/z~0~1", "4300 digits"),
        (DIGITS, "", "4300 digits"),
        (f'{{"query": "x", "context": {{"a": {DEEP}}}}}', "", f"{MAX_DEPTH} levels"),
        ("[" * 100_000 + "]" * 100_000, "", f"{MAX_DEPTH} levels"),
        ('{"query": "x", "' + "k" * 500_000 + '": 1}', "/" + "k" * 100, "unknown field"),
    ],
    ids=["in a list", "field", "unknown", "alone", "deep", "deeper", "long name"],
)
async def test_json_above_a_limit_is_an_error_with_the_limit(connect, text, pointer, limit):
    client = await connect()
    answer = await client.post("/api/query", content=text, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    [error] = answer.json()["errors"][-1:]
    assert error["pointer"] == pointer
    assert limit in error["message"]
    assert len(answer.content) < 2000


async def test_an_error_lists_no_more_fields_than_its_limit(connect):
    client = await connect()
    answer = await client.post("/api/query", json={"query": "x", **{f"f{number}": 1 for number in range(5000)}})
    assert (answer.status_code, len(answer.json()["errors"])) == (422, 100)
    assert "4900 more" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"model": "m", "input": "q", "background": True, "k" * 100_000: 1}),
        ("/v1/messages/batches", {"requests": [{"custom_id": "a", "params": {**MESSAGES, "k" * 100_000: 1}}]}),
        ("/v1/messages/batches", {"requests": [{"custom_id": "a", "params": MESSAGES, "k" * 100_000: 1}]}),
        ("/v1/messages/batches", {"requests": [{"custom_id": "a" * 65, "params": MESSAGES}]}),
    ],
)
async def test_compat_apis_shorten_a_long_name_in_errors(connect, path, body):
    client = await connect()
    answer = await client.post(path, json=body)
    assert (answer.status_code, len(answer.content) < 1000) == (400, True)


@pytest.mark.parametrize(
    ("field", "value", "limit"),
    [
        ("webhookUrl", "https://example.com/" + "x" * 2048, "2048"),
        ("model", "m" * 201, "200"),
        ("tools", ["Read"] * 51, "50"),
        ("tools", ["R" * 101], "100"),
        ("mcpServers", ["s"] * 51, "50"),
        ("mcpServers", ["s" * 65], "64"),
        ("sessionId", "s" * 101, "100"),
    ],
)
async def test_each_text_and_list_has_a_limit_that_its_error_names(connect, field, value, limit):
    client = await connect()
    error = (await client.post("/api/query", json={"query": "x", field: value})).json()["errors"][0]
    assert error["pointer"].startswith(f"/{field}")
    assert limit in error["message"]


async def test_an_idempotency_key_has_a_limit_that_its_error_names(connect):
    client = await connect()
    answer = await client.post("/api/query", json={"query": "x"}, headers={"Idempotency-Key": "k" * 256})
    assert (answer.status_code, "255" in answer.json()["detail"]) == (422, True)
