"""Our errors in the shapes of the APIs whose clients the gateway takes, by the path of the request.

Here and not in their functions, since a path that there is not may reach any of them.
"""

import json
from collections.abc import Callable

from fastapi import Response

from shared.errors import GatewayError

_OPENAI = {
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "forbidden"),
    404: ("invalid_request_error", "not_found"),
    413: ("invalid_request_error", "payload_too_large"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    500: ("server_error", "server_error"),
    503: ("server_error", "unavailable"),
}
_ANTHROPIC = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
}


def as_openai(error: GatewayError, code: str | None = None) -> Response:
    """Write an error as OpenAI's API writes its own; `code` is that API's, where it has one."""
    # It has one status for every request that cannot be.
    status = 400 if error.status in {415, 422} else error.status
    kind, usual = _OPENAI.get(status, ("invalid_request_error", error.code))
    if error.code == "budget_exhausted":
        usual = "insufficient_quota"
    name = error.errors[0].pointer.strip("/") if error.errors else None
    body = {"error": {"message": error.detail or error.title, "type": kind, "param": name, "code": code or usual}}
    return Response(json.dumps(body), status, error.headers, "application/json")


def as_anthropic(error: GatewayError) -> Response:
    """Write an error as Anthropic's API writes its own."""
    # It has one status for every request that cannot be.
    status = 400 if error.status in {409, 415, 422} else error.status
    body = {
        "type": "error",
        "error": {"type": _ANTHROPIC.get(status, "invalid_request_error"), "message": error.detail or error.title},
        "request_id": None,
    }
    return Response(json.dumps(body), status, error.headers, "application/json")


def writer_for(path: str) -> Callable[[GatewayError], Response] | None:
    """Return what writes an error for the client of a path; None for our own form."""
    if f"{path}/".startswith("/v1/messages/"):
        return as_anthropic
    return as_openai if path.startswith("/v1/") else None
