"""An unknown query parameter is refused by name, on every route of our own API."""

import re

import pytest
from fastapi.routing import iter_route_contexts

from local.app import app

PAGES = {
    "/", "/start/{name}", "/admin", "/admin/login", "/admin/logout", "/admin/session", "/admin/static/{name}", "/docs",
    "/openapi.json",
}  # fmt: skip
ROUTES = sorted(
    (method, context.path)
    for context in iter_route_contexts(app.routes)
    for method in (context.methods or set()) - {"HEAD"}
    if context.path and not context.path.startswith("/v1/") and context.path not in PAGES
)


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_an_unknown_query_parameter_is_refused_by_name(connect, method, path):
    client = await connect(ADMIN_ENABLED="true", ADMIN_PASSWORD="a long password", METRICS_ENABLED="true")
    url = re.sub(r"\{\w+\}", "01a00000-0000-7000-8000-000000000000", path)
    login = ("admin", "a long password") if path.startswith("/admin") else None
    for name, pointer in (("q", "/q"), ("a/b", "/a~1b"), ("Limit", "/Limit")):
        answer = await client.request(method, url, params={name: "x"}, json={}, auth=login)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
        assert repr(name) in answer.json()["detail"]


async def test_without_a_key_no_error_reveals_the_parameters_of_a_route(connect):
    client = await connect(AUTH_ENABLED="true", ADMIN_ENABLED="true", ADMIN_PASSWORD="a long password")
    for path in ("/api/query?q=x", "/api/batches?q=x", "/admin/api/stats?q=x"):
        assert (await client.get(path)).status_code == 401


async def test_a_name_that_is_not_utf8_is_refused_too(connect):
    client = await connect()
    for query in ("%ff=1", "%00=1", "=1", "x" * 5000 + "=1", "&".join(f"p{n}=1" for n in range(500))):
        assert (await client.get(f"/api/query?{query}")).status_code == 422


async def test_known_parameters_are_accepted(connect):
    client = await connect()
    assert (await client.get("/api/query?limit=1&state=waiting")).status_code == 200
    job = (await client.post("/api/query", json={"query": "q"})).json()["jobId"]
    assert (await client.get(f"/api/query/{job}?wait=0")).status_code == 200
