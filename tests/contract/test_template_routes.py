"""The routes of a function are those that the template sends to it."""

from importlib import import_module

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from local.app import app as composed
from local.lambda_emulator.app import TEMPLATE
from local.lambda_emulator.routes import read_handlers, read_routes

HANDLERS = read_handlers(TEMPLATE)
ROUTES = read_routes(TEMPLATE)
# Imported before any test runs: Mangum creates an event loop and never closes it when a test has removed the one of
# tests/conftest.py.
MODULES = {function: import_module(handler.rpartition(".")[0]) for function, handler in HANDLERS.items()}
# Every function serves these, but the template sends them to one.
DOCUMENTS = {("GET", "/docs"), ("GET", "/openapi.json")}
DOCUMENTS_FUNCTION = "StatusFunction"


def served(app: FastAPI) -> set[tuple[str, str | None]]:
    return {
        # Starlette's form of a parameter that takes slashes, and API Gateway's.
        (method, context.path and context.path.replace(":path}", "+}"))
        for context in iter_route_contexts(app.routes)
        for method in (context.methods or set()) - {"HEAD", "OPTIONS"}
    }


def routed(function: str) -> set[tuple[str | None, str | None]]:
    return {(route.method, route.path) for route in ROUTES if route.function == function and route.path is not None}


@pytest.mark.parametrize("function", HANDLERS)
def test_the_template_has_exactly_the_routes_of_each_function(function):
    documents = DOCUMENTS if function == DOCUMENTS_FUNCTION else set()
    app = MODULES[function].app
    assert served(app) >= DOCUMENTS
    assert routed(function) == served(app) - DOCUMENTS | documents


def test_the_composed_app_has_exactly_the_routes_of_the_template():
    assert served(composed) == {(route.method, route.path) for route in ROUTES if route.path is not None}


@pytest.mark.parametrize("function", HANDLERS)
def test_a_handler_is_where_the_template_says(function):
    assert callable(getattr(MODULES[function], HANDLERS[function].rpartition(".")[2]))


def test_the_template_has_these_functions():
    assert read_handlers(TEMPLATE) == {
        f"{name.capitalize()}Function": f"functions.{name}.app.handler"
        for name in (
            "submit",
            "status",
            "webhook",
            "batches",
            "openai",
            "anthropic",
            "admin",
            "credentials",
            "files",
            "schedules",
        )
    }


def test_unmatched_requests_go_to_status():
    assert [route.function for route in ROUTES if route.key == "$default"] == ["StatusFunction"]


def test_no_two_functions_have_the_same_route():
    keys = [route.key for route in ROUTES]
    assert len(keys) == len(set(keys))
