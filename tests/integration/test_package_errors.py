"""Errors of the compat APIs as the official packages parse them: class, shape, request id, parameter."""

from typing import Any, cast

import httpx2
import pytest

from local.app import app
from shared.configuration.settings import load
from shared.http.route_table import DOCUMENT
from tests.support.packages import anthropic, openai
from tests.support.ports import free_port

UNKNOWN = "019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22"
MESSAGE: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "q"}]}


@pytest.fixture
async def http(connect, server):
    """Return a transport to the app, which knows no key and accepts bodies of 1,000 bytes."""
    await connect(server.url, MAX_BODY_BYTES="1000", AUTH_ENABLED="false", ALLOWED_HOSTS="gateway")
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app, raise_app_exceptions=False)) as client:
        yield client


@pytest.fixture
def claude(http):
    return anthropic.AsyncAnthropic(base_url="http://gateway", api_key="any", http_client=http, max_retries=0)


@pytest.fixture
def gpt(http):
    return openai.AsyncOpenAI(base_url="http://gateway/v1", api_key="any", http_client=http, max_retries=0)


@pytest.fixture
def refuse(monkeypatch, server):
    """Make the gateway refuse requests in one way."""

    async def mistake(*_arguments: Any, **_options: Any) -> None:
        raise RuntimeError

    def refuse(way: str) -> None:
        if way == "401":
            monkeypatch.setenv("AUTH_ENABLED", "true")
        elif way == "500":
            monkeypatch.setattr("shared.services.batches.read", mistake)
            monkeypatch.setattr("functions.openai.service.find", mistake)
        elif way == "503":
            monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
        load.cache_clear()

    return refuse


def detail(error: "anthropic.APIStatusError | openai.APIStatusError") -> dict[str, Any]:
    body = cast("dict[str, Any]", error.body)
    return cast("dict[str, Any]", body["error"]) if isinstance(error, anthropic.APIStatusError) else body


def anthropic_requests(client: "anthropic.AsyncAnthropic") -> dict[str, Any]:
    read, put = client.messages.batches.retrieve, client.put
    big: Any = [{"custom_id": "a", "params": {**MESSAGE, "system": "s" * 1000}}]
    odd: Any = [{"custom_id": "a", "params": {**MESSAGE, "top_k": 1}}]
    plain: Any = {"headers": {"Content-Type": "text/plain"}}
    return {
        "400": lambda: client.messages.batches.create(requests=odd),
        "401": lambda: read(UNKNOWN),
        "403": lambda: client.with_options(default_headers={"Host": "evil.example"}).messages.batches.retrieve(UNKNOWN),
        "404": lambda: read(UNKNOWN),
        "unrouted": lambda: client.get("/v1/messages/unknown", cast_to=httpx2.Response),
        "other": client.beta.files.list,
        "OpenAI's": lambda: client.get(f"/v1/responses/resp_{UNKNOWN}", cast_to=httpx2.Response),
        "405": lambda: put("/v1/messages/batches", cast_to=httpx2.Response),
        "413": lambda: client.messages.batches.create(requests=big),
        "415": lambda: client.post("/v1/messages/batches", cast_to=httpx2.Response, body={}, options=plain),
        "500": lambda: read(UNKNOWN),
        "503": lambda: read(UNKNOWN),
    }


@pytest.mark.parametrize(
    ("way", "status", "kind"),
    [
        ("400", 400, "invalid_request_error"),
        ("401", 401, "authentication_error"),
        ("403", 403, "permission_error"),
        ("404", 404, "not_found_error"),
        ("unrouted", 404, "not_found_error"),
        ("other", 404, "not_found_error"),
        ("OpenAI's", 404, "not_found_error"),
        ("405", 405, "invalid_request_error"),
        ("413", 413, "request_too_large"),
        ("415", 400, "invalid_request_error"),
        ("500", 500, "api_error"),
        ("503", 503, "overloaded_error"),
    ],
)
async def test_every_error_of_the_messages_api_has_its_shape(claude, refuse, way, status, kind):
    refuse(way)
    with pytest.raises(anthropic.APIStatusError) as refused:
        await anthropic_requests(claude)[way]()
    error = refused.value
    assert (error.status_code, detail(error)["type"]) == (status, kind)
    body = cast("dict[str, Any]", error.body)
    assert set(body) == {"type", "error", "request_id"}
    assert error.request_id
    assert error.request_id == body["request_id"] == error.response.headers["x-request-id"]


def openai_requests(client: "openai.AsyncOpenAI") -> dict[str, Any]:
    read = client.responses.retrieve
    return {
        "400": lambda: client.responses.create(model="m", input="q", background=True, temperature=0),
        "401": lambda: read(UNKNOWN),
        "403": lambda: client.with_options(default_headers={"Host": "evil.example"}).responses.retrieve(UNKNOWN),
        "404": lambda: read(UNKNOWN),
        "unrouted": client.files.list,
        "405": lambda: client.put("/responses", cast_to=httpx2.Response),
        "413": lambda: client.responses.create(model="m", input="q" * 1000, background=True),
        "500": lambda: read(UNKNOWN),
        "503": lambda: read(UNKNOWN),
    }


@pytest.mark.parametrize(
    ("way", "kind", "code", "param"),
    [
        ("400", "BadRequestError", "unsupported_parameter", "temperature"),
        ("401", "AuthenticationError", "invalid_api_key", None),
        ("403", "PermissionDeniedError", "forbidden", None),
        ("404", "NotFoundError", "not_found", None),
        ("unrouted", "NotFoundError", "not_found", None),
        ("405", "APIStatusError", "method_not_allowed", None),
        ("413", "APIStatusError", "payload_too_large", None),
        ("500", "InternalServerError", "server_error", None),
        ("503", "InternalServerError", "unavailable", None),
    ],
)
async def test_every_error_of_the_responses_api_has_its_shape(gpt, refuse, way, kind, code, param):
    refuse(way)
    with pytest.raises(getattr(openai, kind)) as refused:
        await openai_requests(gpt)[way]()
    error = refused.value
    assert set(detail(error)) == {"message", "type", "param", "code"}
    assert (error.code, error.param) == (code, param)
    assert error.request_id
    assert error.request_id == error.response.headers["request-id"]


async def test_answers_have_the_id_of_their_request(claude, gpt):
    batch = await claude.messages.batches.create(requests=[{"custom_id": "a", "params": MESSAGE}])
    response = await gpt.responses.create(model="m", input="q", background=True)
    assert batch._request_id
    assert response._request_id


@pytest.mark.parametrize(
    ("path", "use"),
    [
        ("/v1/chat/completions/x", "POST /v1/chat/completions"),
        ("/v1/completions", "POST /v1/chat/completions"),
        ("/v1/messages/x", "POST /v1/messages"),
        ("/v1/conversations", "previous_response_id"),
        ("/v1/batches", "POST /api/batches"),
    ],
)
async def test_an_unknown_path_lists_what_exists_and_what_to_use(http, path, use):
    answer = await http.get(f"http://gateway{path}")
    message = answer.json()["error"]["message"]
    assert f"Use {use}" in message or f" {use}" in message.split(" instead. ", maxsplit=1)[0]
    for known in ("POST /v1/responses", "GET /v1/messages/batches/{batchId}/results"):
        assert known in message.partition("Paths below /v1: ")[2]


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/embeddings", "/v1/files/x"])
async def test_any_unknown_path_under_v1_lists_what_exists(http, path):
    answer = await http.post(f"http://gateway{path}")
    assert answer.status_code == 404
    assert "POST /v1/responses" in answer.text
    assert str(DOCUMENT.parent) not in answer.text
