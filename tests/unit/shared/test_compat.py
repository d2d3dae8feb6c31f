"""Errors in the shapes of the compat APIs, from every app, by the path only."""

import httpx
import pytest

from shared.http.app import create_app


@pytest.fixture
async def client():
    transport = httpx.ASGITransport(create_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


@pytest.mark.parametrize(
    ("path", "code"),
    [("/v1/responses/a/b", "not_found"), ("/v1/messages2", "not_found"), ("/v1/responses", "method_not_allowed")],
)
async def test_an_unknown_path_under_v1_has_openais_error(client, path, code):
    answer = await client.put(path)
    assert answer.status_code == {"not_found": 404, "method_not_allowed": 405}[code]
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, None)


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/v1/messages", 405, "invalid_request_error"),
        ("/v1/messages/batches/a/b", 404, "not_found_error"),
        ("/v1/messages/batches", 405, "invalid_request_error"),
    ],
)
async def test_an_unknown_path_under_messages_has_anthropics_error(client, path, status, kind):
    answer = await client.put(path)
    assert (answer.status_code, answer.json()["type"], answer.json()["error"]["type"]) == (status, "error", kind)
    assert ("Allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize("path", ["/v1", "/v10/responses", "/api/v1/messages"])
async def test_an_unknown_path_elsewhere_is_a_problem(client, path):
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
