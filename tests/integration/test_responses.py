"""Responses through the API, without a CLI: returned fields, and parameters of reads."""

import asyncio

import pytest

from shared.configuration.settings import StatusSettings, load
from shared.services import following
from shared.store.jobs import claims, events
from shared.store.jobs.steps import Entry
from shared.store.redis.client import async_client
from tests.support.slot import RESULT, run, take

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


def body(**fields):
    return {"model": "m", "input": "q", "background": True, **fields}


def schemed(schema, **extra):
    return {"text": {"format": {"type": "json_schema", "schema": schema, **extra}}}


@pytest.mark.parametrize(
    ("given", "returned"),
    [
        ({"name": "n", "strict": True}, {"name": "n", "strict": True}),
        ({"name": "n", "strict": False, "description": None}, {"name": "n", "strict": False}),
        ({"strict": None}, {"name": "answer"}),
    ],
)
@pytest.mark.parametrize("schema", [SCHEMA, {}])
async def test_the_format_is_returned_as_it_was_given(connect, server, given, returned, schema):
    client = await connect(server.url)
    made = (await client.post("/v1/responses", json=body(**schemed(schema, **given)))).json()
    expected = {"type": "json_schema", "schema": schema, **returned}
    assert made["text"]["format"] == expected
    await run(server.url)
    assert (await client.get(f"/v1/responses/{made['id']}")).json()["text"]["format"] == expected


async def test_results_are_cached_whatever_the_name_of_their_format(connect, server):
    client = await connect(server.url)
    await client.post("/v1/responses", json=body(store=False, **schemed(SCHEMA, name="n")))
    first = await run(server.url)
    answer = (await client.post("/api/query", json={"query": "q", "model": "m", "outputSchema": SCHEMA})).json()
    assert (answer["status"], answer["jobId"]) == ("cached", first)


async def test_another_format_name_under_the_same_key_is_another_body(connect, server):
    client = await connect(server.url)
    header = {"Idempotency-Key": "k"}
    first, again, other = [
        await client.post("/v1/responses", json=body(**schemed(SCHEMA, name=name)), headers=header)
        for name in ("n", "n", "m")
    ]
    assert first.json()["id"] == again.json()["id"]
    assert other.status_code == 400


@pytest.mark.parametrize(
    "parameter",
    [
        "stream=1", "stream=", "stream=True", "stream=yes", "starting_after=-1&stream=true", "starting_after=3",
        "starting_after=3&stream=false", "starting_after=&stream=true", "starting_after=\u0663&stream=true",
        "starting_after=1000000000&stream=true", "include_obfuscation=true&stream=true", "bogus=1",
    ],
)  # fmt: skip
async def test_an_invalid_read_parameter_is_refused_by_name(connect, server, parameter):
    client = await connect(server.url)
    made = (await client.post("/v1/responses", json=body())).json()["id"]
    await run(server.url)
    answer = await client.get(f"/v1/responses/{made}?{parameter}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, parameter.partition("=")[0])


async def test_a_response_cannot_be_deleted_and_stays(connect, server):
    client = await connect(server.url)
    made = (await client.post("/v1/responses", json=body())).json()["id"]
    answer = await client.delete(f"/v1/responses/{made}")
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert "RESULT_TTL" in answer.json()["error"]["message"]
    assert (await client.get(f"/v1/responses/{made}")).status_code == 200


async def test_a_read_streams_only_when_requested(connect, server):
    client = await connect(server.url)
    made = (await client.post("/v1/responses", json=body())).json()["id"]
    await run(server.url)
    for query, kind in (("", "application/json"), ("?stream=false", "application/json"),
                        ("?stream=true&include_obfuscation=false", "text/event-stream")):  # fmt: skip
        answer = await client.get(f"/v1/responses/{made}{query}")
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, kind)
    after = (await client.get(f"/v1/responses/{made}?stream=true&starting_after=0")).text
    assert "response.created" not in after
    assert "response.queued" in after


async def test_in_lambda_a_silent_stream_waits_for_an_event(connect, server, monkeypatch):
    client = await connect(server.url, AWS_LAMBDA_FUNCTION_NAME="responses", AUTH_ENABLED="false")
    monkeypatch.setattr(following, "_BUFFERED_AFTER", 0.05)
    made = (await client.post("/v1/responses", json=body())).json()["id"]
    claim = await take(server.url)
    seen = (await client.get(f"/v1/responses/{made}?stream=true")).text
    assert seen.count("event: ") == 3
    assert '"sequence_number": 2' in seen
    read = asyncio.create_task(client.get(f"/v1/responses/{made}?stream=true&starting_after=2"))
    # Old events are sent again; if they counted as new ones, the stream would end after 0.05 s.
    done, _ = await asyncio.wait({read}, timeout=0.5)
    assert not done
    await claims.settle(async_client(server.url), claims.finish(claim, "completed", {"result": RESULT}, keep_for=60))
    assert "response.completed" in (await read).text


async def test_events_left_out_do_not_silence_a_stream(connect, server, monkeypatch):
    client = await connect(server.url)
    monkeypatch.setattr(following, "_COMMENT_EVERY", 1)
    await client.post("/v1/responses", json=body(**schemed(SCHEMA)))
    claim, settings = await take(server.url), load(StatusSettings)
    piece = 0
    async with asyncio.timeout(10):
        clock = following.Clock(settings)
        async for event in following.subscribe(claim.job_id, events.FIRST, "anonymous", settings, clock):
            if event is None:
                break
            # The next piece is written as soon as the last has arrived.
            piece += 1
            await claims.renew(async_client(server.url), claim, 10, piece, [Entry("delta", "", "x")])
    assert piece > 1
