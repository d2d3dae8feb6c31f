"""The paths and methods of the whole gateway, from the committed OpenAPI document.

Every function responds for the whole gateway: a wrong method is 405 with the allowed methods, whichever function
receives the request.
"""

import json
import re
from functools import cache
from pathlib import Path

from shared.api.errors import GatewayError, MethodNotAllowed, NotFound

DOCUMENT = Path(__file__).parent / "openapi.json"
# Alternatives to well-known paths of other APIs that the gateway does not have.
_ALTERNATIVES = {
    "/v1/completions": "POST /v1/chat/completions",
    "/v1/complete": "POST /v1/messages",
    "/v1/chat/completions": "POST /v1/chat/completions",
    "/v1/messages": "POST /v1/messages or POST /v1/messages/batches",
    "/v1/batches": "POST /v1/messages/batches or POST /api/batches",
    "/v1/conversations": "previous_response_id of POST /v1/responses",
    "/v1/responses/input_tokens": "POST /v1/messages/count_tokens",
}
_METHODS = ("get", "post", "put", "patch", "delete")
# Routes that are not in the document.
_UNLISTED = {"/docs": ("GET",), "/openapi.json": ("GET",)}


@cache
def _table() -> list[tuple[re.Pattern[str], tuple[str, ...]]]:
    listed = {
        path: tuple(method.upper() for method in _METHODS if method in operations)
        for path, operations in json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"].items()
    }
    # Paths without parameters come first, because /api/query/x is not {jobId} if x has a route.
    ordered = sorted({**listed, **_UNLISTED}.items(), key=lambda item: item[0].count("{"))
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), methods) for path, methods in ordered]


def is_route(path: str) -> bool:
    """Return whether the gateway has a path."""
    return any(pattern.fullmatch(path) for pattern, _ in _table())


def unrouted(method: str, path: str) -> GatewayError:
    """Return the error of a request without a route: the path is unknown, or the method is not allowed."""
    for pattern, methods in _table():
        if pattern.fullmatch(path):
            if method in methods:
                break
            # Every path with GET has HEAD too.
            allowed = ", ".join((*methods, "HEAD") if "GET" in methods else methods)
            return MethodNotAllowed(f"Method not allowed: this path has {allowed}", headers={"Allow": allowed})
    return NotFound(_missing(path))


def _missing(path: str) -> str:
    """Return the text for an unknown path; below /v1 it lists the existing paths and an alternative."""
    if not f"{path}/".startswith("/v1/"):
        return "Path not found; GET /docs lists all paths"
    alternative = next((use for known, use in _ALTERNATIVES.items() if f"{path}/".startswith(f"{known}/")), None)
    return f"Path not found. {f'Use {alternative} instead. ' if alternative else ''}Paths below /v1: {_listed()}"


@cache
def _listed() -> str:
    operations = json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"]
    return ", ".join(
        f"{method.upper()} {path}"
        for path, methods in operations.items()
        for method in methods
        # Without DELETE, which is always refused.
        if path.startswith("/v1/") and method != "delete"
    )
