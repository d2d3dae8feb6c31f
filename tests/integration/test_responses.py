"""Responses through the API, without a CLI: what is told again, and what a read can ask."""

import pytest

from tests.support.slot import run

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


def body(**fields):
    return {"model": "m", "input": "q", "background": True, **fields}


def schemed(schema, **told):
    return {"text": {"format": {"type": "json_schema", "schema": schema, **told}}}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"name": "n", "strict": True}, {"name": "n", "strict": True}),
        ({"name": "n", "strict": False, "description": None}, {"name": "n", "strict": False}),
        ({"strict": None}, {"name": "answer"}),
    ],
)
@pytest.mark.parametrize("schema", [SCHEMA, {}])
async def test_the_format_is_told_again_as_it_was_given(connect, server, given, told, schema):
    client = await connect(server.url)
    made = (await client.post("/v1/responses", json=body(**schemed(schema, **given)))).json()
    expected = {"type": "json_schema", "schema": schema, **told}
    assert made["text"]["format"] == expected
    await run(server.url)
    assert (await client.get(f"/v1/responses/{made['id']}")).json()["text"]["format"] == expected


async def test_what_a_response_brings_is_cached_for_others_whatever_its_format_is_called(connect, server):
    client = await connect(server.url)
    await client.post("/v1/responses", json=body(store=False, **schemed(SCHEMA, name="n")))
    first = await run(server.url)
    answer = (await client.post("/api/query", json={"query": "q", "model": "m", "outputSchema": SCHEMA})).json()
    assert (answer["status"], answer["jobId"]) == ("cached", first)


async def test_a_key_with_another_name_for_the_format_comes_with_another_body(connect, server):
    client = await connect(server.url)
    header = {"Idempotency-Key": "k"}
    first, again, other = [
        await client.post("/v1/responses", json=body(**schemed(SCHEMA, name=name)), headers=header)
        for name in ("n", "n", "m")
    ]
    assert first.json()["id"] == again.json()["id"]
    assert other.status_code == 400


@pytest.mark.parametrize(
    "asked",
    [
        "stream=1", "stream=", "stream=True", "stream=yes", "starting_after=-1&stream=true", "starting_after=3",
        "starting_after=3&stream=false", "starting_after=&stream=true", "starting_after=\u0663&stream=true",
        "starting_after=1000000000&stream=true", "include_obfuscation=true&stream=true", "bogus=1",
    ],
)  # fmt: skip
async def test_a_read_that_cannot_be_is_refused_by_name(connect, server, asked):
    client = await connect(server.url)
    made = (await client.post("/v1/responses", json=body())).json()["id"]
    await run(server.url)
    answer = await client.get(f"/v1/responses/{made}?{asked}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, asked.partition("=")[0])


async def test_a_response_cannot_be_deleted_and_stays(connect, server):
    client = await connect(server.url)
    made = (await client.post("/v1/responses", json=body())).json()["id"]
    answer = await client.delete(f"/v1/responses/{made}")
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert "RESULT_TTL" in answer.json()["error"]["message"]
    assert (await client.get(f"/v1/responses/{made}")).status_code == 200


async def test_a_read_streams_exactly_when_it_says_so(connect, server):
    client = await connect(server.url)
    made = (await client.post("/v1/responses", json=body())).json()["id"]
    await run(server.url)
    for asked, kind in (("", "application/json"), ("?stream=false", "application/json"),
                        ("?stream=true&include_obfuscation=false", "text/event-stream")):  # fmt: skip
        answer = await client.get(f"/v1/responses/{made}{asked}")
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, kind)
    after = (await client.get(f"/v1/responses/{made}?stream=true&starting_after=0")).text
    assert "response.created" not in after
    assert "response.queued" in after
