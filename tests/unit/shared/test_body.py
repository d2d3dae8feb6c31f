"""Bodies that repeat are parsed once, unless they are long."""

import asyncio
import json

import pytest
from starlette.requests import Request

from shared.api.errors import InvalidRequest
from shared.api.requests import RouteRequest, SubmitRequest
from shared.http.body import read_json


def read(body, model=SubmitRequest, *, repeats=True):
    async def receive():
        return {"type": "http.request", "body": body}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"application/json")]}
    return asyncio.run(read_json(Request(scope, receive), model, max_bytes=1 << 20, repeats=repeats))


def query(text, **more):
    return json.dumps({"query": text, **more}).encode()


def test_the_same_body_gives_the_same_request():
    assert read(query("Why is it blue?")) is read(query("Why is it blue?"))


def test_another_body_gives_another_request():
    assert [read(query(text)).query for text in ("one", "One", "one ")] == ["one", "One", "one "]


def test_a_long_body_is_not_kept():
    assert read(query("x" * 5000)) is not read(query("x" * 5000))


def test_a_body_is_kept_for_its_model_alone():
    """Catches options of a submission that a route without them takes, because the body was seen before."""
    read(query("Why?", priority="high"))
    with pytest.raises(InvalidRequest):
        read(query("Why?", priority="high"), RouteRequest)


def test_a_body_is_kept_only_where_it_repeats():
    assert read(query("Why?"), repeats=False) is not read(query("Why?"), repeats=False)


def test_an_invalid_body_is_refused_each_time():
    for _ in range(2):
        with pytest.raises(InvalidRequest):
            read(query("Why?", colour="blue"))


def test_a_kept_request_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        read(query("Why?")).query = "How?"
