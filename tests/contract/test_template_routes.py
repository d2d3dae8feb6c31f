"""The template's events and the apps' routes are the same, both ways."""

import importlib

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from local.app import app as composed
from local.lambda_emulator.app import TEMPLATE
from local.lambda_emulator.routes import Route, read_handlers, read_routes

HANDLERS = read_handlers(TEMPLATE)
# Every function serves the documents; API Gateway sends requests for them to status.
DOCUMENTS = {("GET", "/docs"), ("GET", "/openapi.json")}


def routes_of(app: FastAPI) -> set[tuple[str, str]]:
    # The routers that an app includes, for FastAPI keeps each as it is.
    routes = [route for part in app.routes for route in getattr(part, "original_router", app).routes]
    return {(method, route.path) for route in routes if isinstance(route, APIRoute) for method in route.methods or ()}


@pytest.mark.parametrize("function", HANDLERS)
def test_a_functions_events_are_its_routes(function):
    module = importlib.import_module(HANDLERS[function].rpartition(".")[0])
    events = {
        (route.method, route.path) for route in read_routes(TEMPLATE) if route.function == function and route.path
    }
    assert callable(module.handler)
    assert events - DOCUMENTS == routes_of(module.app) - DOCUMENTS


def test_the_composed_app_has_every_event_and_nothing_else():
    assert routes_of(composed) == {(route.method, route.path) for route in read_routes(TEMPLATE) if route.path}


def test_what_no_route_takes_goes_to_status():
    assert [route.function for route in read_routes(TEMPLATE) if route.path is None] == ["StatusFunction"]


@pytest.mark.parametrize(
    ("path", "raw_path", "expected"),
    [
        ("/api/query/{jobId}", "/api/query/abc", {"jobId": "abc"}),
        ("/api/query/{jobId}", "/api/query/a%2Fb%20c", {"jobId": "a/b c"}),
        ("/api/query/{jobId}", "/api/query/", None),
        ("/api/query/{jobId}", "/api/query/a/b", None),
        ("/openapi.json", "/openapiXjson", None),
    ],
)
def test_the_emulator_matches_paths_as_an_http_api_does(path, raw_path, expected):
    assert Route("F", "h", "GET", path).match("GET", raw_path) == expected
