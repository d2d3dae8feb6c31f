"""Which paths and methods the whole gateway has, read from the committed OpenAPI document.

Every function answers for the whole gateway: a wrong method is 405 with what is allowed, whichever function
the request reached.
"""

import json
import re
from functools import cache
from pathlib import Path

from shared.api.errors import GatewayError, MethodNotAllowed, NotFound

DOCUMENT = Path(__file__).parent / "openapi.json"
# What serves the purpose of well-known paths of other APIs that do not exist here.
_INSTEAD = {
    "/v1/chat/completions": 'POST /v1/responses with "background": true',
    "/v1/completions": 'POST /v1/responses with "background": true',
    "/v1/complete": "POST /v1/messages/batches or POST /api/query",
    "/v1/messages": "POST /v1/messages/batches or POST /api/query",
    "/v1/batches": "POST /v1/messages/batches or POST /api/batches",
    "/v1/conversations": "previous_response_id of POST /v1/responses",
    "/v1/models": "any model that the operator allows in CLAUDE_MODELS, or none",
}
_METHODS = ("get", "post", "put", "patch", "delete")
# Routes that serve the document are not in it.
_UNLISTED = {"/docs": ("GET",), "/openapi.json": ("GET",)}


@cache
def _table() -> list[tuple[re.Pattern[str], tuple[str, ...]]]:
    listed = {
        path: tuple(method.upper() for method in _METHODS if method in operations)
        for path, operations in json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"].items()
    }
    # A path without parameters is meant before one with: /api/query/x is not {jobId} where x has a route.
    ordered = sorted({**listed, **_UNLISTED}.items(), key=lambda item: item[0].count("{"))
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), methods) for path, methods in ordered]


def is_route(path: str) -> bool:
    """Say whether a path is one of the gateway's."""
    return any(pattern.fullmatch(path) for pattern, _ in _table())


def unrouted(method: str, path: str) -> GatewayError:
    """Say why a request found no route: the path is unknown, or it has other methods."""
    for pattern, methods in _table():
        if pattern.fullmatch(path):
            if method in methods:
                break
            # HEAD is answered wherever GET is.
            allowed = ", ".join((*methods, "HEAD") if "GET" in methods else methods)
            return MethodNotAllowed(f"This path takes {allowed}", headers={"Allow": allowed})
    return NotFound(_missing(path))


def _missing(path: str) -> str:
    """Say that a path does not exist; under /v1 also what does, and what to use instead."""
    if not f"{path}/".startswith("/v1/"):
        return "This path does not exist; GET /docs describes those that do"
    instead = next((use for known, use in _INSTEAD.items() if f"{path}/".startswith(f"{known}/")), None)
    return f"This path does not exist. {f'Use {instead} instead. ' if instead else ''}Under /v1 there are: {_listed()}"


@cache
def _listed() -> str:
    operations = json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"]
    return ", ".join(
        f"{method.upper()} {path}"
        for path, methods in operations.items()
        for method in methods
        # DELETE is there to be refused.
        if path.startswith("/v1/") and method != "delete"
    )
