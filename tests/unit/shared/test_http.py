"""Answers of every app that need no store."""

import json

import httpx
import pytest
from fastapi import APIRouter, Request
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.api.errors import QueueFull
from shared.api.requests import SubmitRequest
from shared.http.app import create_app
from shared.http.body import read_json

router = APIRouter()


@router.post("/take")
async def take(request: Request) -> dict[str, str]:
    return {"query": (await read_json(request, SubmitRequest, max_bytes=1000)).query}


@router.get("/away")
async def away() -> None:
    raise RedisConnectionError("redis://:secret@host")


@router.get("/full")
async def full() -> None:
    raise QueueFull("many", headers={"Retry-After": "5"})


@pytest.fixture
async def client():
    transport = httpx.ASGITransport(create_app(router))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


async def send(client, body, kind="application/json"):
    return await client.post("/take", content=body, headers={"content-type": kind})


def problem(answer, status, code):
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["code"] == code
    assert set(body) == {"type", "title", "status", "detail", "instance", "code", "errors"}
    return body


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"query": NaN}', b"\xff\xfe", b"[" * 400, b'{"query": "x"} x', b'{"query": "\xc3"}'],
)
async def test_a_body_that_is_not_json_is_malformed(client, body):
    problem(await send(client, body), 400, "malformed_json")


@pytest.mark.parametrize("context", [rb'"\ud800"', rb'{"\udfff": 1}', b"-Infinity"])
async def test_a_value_that_is_not_json_is_malformed(client, context):
    problem(await send(client, b'{"query": "x", "context": {"a": ' + context + b"}}"), 400, "malformed_json")


@pytest.mark.parametrize(
    ("context", "pointer", "message"),
    [(b"[" * 260 + b"]" * 260, "", "200 levels"), (b"1e999", "/context", "finite numbers")],
)
async def test_json_that_cannot_be_stored_is_refused(client, context, pointer, message):
    answer = await send(client, b'{"query": "x", "context": {"a": ' + context + b"}}")
    [error] = problem(answer, 422, "invalid_request")["errors"]
    assert error["pointer"] == pointer
    assert message in error["message"]


async def test_a_byte_order_mark_before_json_is_accepted(client):
    assert (await send(client, b'\xef\xbb\xbf{"query":"x"}')).status_code == 200


@pytest.mark.parametrize("body", [b"null", b"[]", b'"x"', b"1", b"{}"])
async def test_json_that_is_not_an_object_is_invalid(client, body):
    assert problem(await send(client, body), 422, "invalid_request")["errors"]


async def test_each_wrong_field_has_its_pointer(client):
    body = json.dumps({"query": "", "a/b~c": 1, "metadata": {"x": 1}}).encode()
    found = problem(await send(client, body), 422, "invalid_request")["errors"]
    assert {error["pointer"] for error in found} == {"/query", "/a~1b~0c", "/metadata/x"}


async def test_an_internal_field_name_is_an_unknown_field(client):
    body = problem(await send(client, b'{"query": "x", "max_turns": 3}'), 422, "invalid_request")
    assert body["errors"] == [{"pointer": "/max_turns", "message": "unknown field 'max_turns'"}]


async def test_a_value_of_the_client_is_not_echoed(client):
    body = problem(await send(client, b'{"query": "x", "priority": "my-secret"}'), 422, "invalid_request")
    assert "my-secret" not in json.dumps(body)


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data", "", "application/jsonx"])
async def test_a_body_that_is_not_declared_as_json_is_refused(client, kind):
    problem(await send(client, b'{"query":"x"}', kind), 415, "unsupported_media_type")


async def test_the_default_type_of_curl_is_accepted_but_not_across_sites(client):
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert (await client.post("/take", content=b'{"query":"x"}', headers=headers)).status_code == 200
    forged = await client.post("/take", content=b'{"query":"x"}', headers={**headers, "origin": "https://elsewhere"})
    problem(forged, 415, "unsupported_media_type")


async def test_a_charset_beside_the_type_does_not_matter(client):
    assert (await send(client, b'{"query":"x"}', "application/json; charset=utf-8")).status_code == 200


async def test_a_body_above_the_limit_is_refused_by_its_declared_length(client):
    assert "1000" in problem(await send(client, b"x" * 1001), 413, "payload_too_large")["detail"]


async def test_a_body_of_unknown_length_is_refused_above_the_limit(client):
    taken = []

    async def endless():
        for _ in range(100):
            taken.append(1)
            yield b"x" * 100

    answer = await client.post("/take", content=endless(), headers={"content-type": "application/json"})
    problem(answer, 413, "payload_too_large")


async def test_an_unknown_path_is_a_problem(client):
    assert problem(await client.get("/nothing/here"), 404, "not_found")["instance"] == "/nothing/here"


@pytest.mark.parametrize(("method", "allowed"), [("DELETE", "POST"), ("PUT", "POST")])
async def test_a_known_path_with_another_method_says_what_is_allowed(client, method, allowed):
    answer = await client.request(method, "/api/query")
    problem(answer, 405, "method_not_allowed")
    assert allowed in answer.headers["allow"]


async def test_a_store_outage_is_503_without_the_password(client):
    answer = await client.get("/away")
    assert "secret" not in json.dumps(problem(answer, 503, "unavailable"))
    assert answer.headers["retry-after"] == "1"


async def test_an_error_keeps_its_headers(client):
    answer = await client.get("/full")
    problem(answer, 503, "queue_full")
    assert answer.headers["retry-after"] == "5"


async def test_every_answer_has_its_own_request_id(client):
    first, second = await client.get("/full"), await client.get("/full")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
