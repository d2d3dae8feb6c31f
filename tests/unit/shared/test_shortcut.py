"""The short way to direct routes finds what FastAPI's router finds, and treats errors as FastAPI does."""

import re
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import APIRouter, Request, Response
from starlette.routing import Match, Route

from local.app import app as gateway
from shared.api.errors import NotFound
from shared.http.app import create_app
from shared.http.direct import DirectRoute
from shared.http.shortcut import Table

ROUTES = [route for route in gateway.router.routes if isinstance(route, Route)]
PATHS = sorted(
    {re.sub(r"\{\w+(:path)?\}", value, route.path) for route in ROUTES for value in ("x", "a b", "route", "é")}
)
OTHERS = ["/", "//", "/api/query/", "/api//query", "/api/query/x/", "/api/query/x/y", "/v1/messages/", "/nothing"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_the_table_finds_the_route_of_the_router(method):
    """Catches a request that is served by another route than the one that FastAPI documents."""
    table = Table(ROUTES)
    for path in [*PATHS, *OTHERS]:
        scope = {"type": "http", "method": method, "path": path, "headers": []}
        found = next((route for route in ROUTES if route.matches(scope)[0] is Match.FULL), None)
        taken = table.find(scope)
        if isinstance(found, DirectRoute) and ":path}" not in found.path:
            assert taken is found, path
            assert scope["path_params"] == found.matches(scope)[1]["path_params"]
        else:
            assert taken is None, path


router = APIRouter(route_class=DirectRoute)


@router.get("/known/{name}")
async def known(request: Request) -> Response:
    """Fail with an error of the gateway."""
    raise NotFound(f"no {request.path_params['name']}")


@router.get("/broken")
async def broken(_request: Request) -> Response:
    """Fail with an error that nobody expects."""
    raise LookupError("a secret")


async def get(path, method="GET"):
    transport = httpx.ASGITransport(create_app(router), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        return await client.request(method, path)


async def test_an_error_of_a_route_is_a_problem():
    got = await get("/known/thing")
    assert (got.status_code, got.json()["detail"]) == (404, "no thing")


async def test_an_unexpected_error_is_a_500_without_its_text():
    got = await get("/broken")
    assert (got.status_code, got.json()["code"]) == (500, "internal")
    assert "secret" not in got.text
    assert len(got.headers.get_list("x-request-id")) == 1
    assert got.headers["x-content-type-options"] == "nosniff"


async def test_an_unexpected_error_reaches_the_server():
    """Catches an error that is sent and never logged."""
    transport = httpx.ASGITransport(create_app(router))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        with pytest.raises(LookupError):
            await client.get("/broken")


async def test_another_method_of_a_direct_route_is_refused():
    # Not a path of the gateway's document, so that it has no other method.
    got = await get("/known/thing", "POST")
    assert (got.status_code, got.json()["code"]) == (404, "not_found")


async def test_the_app_is_started_and_stopped_by_its_server():
    """Catches a start of the API without its settings, its log and its watch of Redis."""
    seen = []

    @asynccontextmanager
    async def lifespan(_app):
        seen.append("started")
        yield
        seen.append("stopped")

    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent = []

    async def receive():
        return next(messages)

    async def send(message):
        sent.append(message["type"])

    await create_app(router, lifespan=lifespan)({"type": "lifespan", "state": {}}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert seen == ["started", "stopped"]
