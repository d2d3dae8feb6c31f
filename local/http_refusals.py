"""Error responses that the HTTP protocol sends without the app."""

from typing import Any

from fastapi import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from shared.api.errors import Unavailable
from shared.http.problems import refusal
from shared.http.security_headers import missing

# The scope for errors in a request whose head is unknown.
UNKNOWN: Scope = {"path": "", "headers": []}


class OverLimit:
    """The app for connections above the limit: serves the liveness check, and 503 for everything else."""

    def __init__(self, app: Any, limit: int) -> None:
        self._app: ASGIApp = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["path"] == "/health/live":
            await self._app(scope, receive, send)
        else:
            await too_many(self._limit, scope)(scope, receive, send)


def too_many(limit: int, scope: Scope) -> Response:
    """Return the 503 response for a connection above the limit."""
    error = Unavailable(f"MAX_CONNECTIONS = {limit} connections are open; try again", headers={"Retry-After": "1"})
    return refusal(error, scope)


def as_bytes(response: Response) -> bytes:
    """Encode a response that closes the connection."""
    fields = [*response.raw_headers, *missing(response.raw_headers), (b"connection", b"close")]
    head = b"".join(b"%b: %b\r\n" % field for field in fields)
    return STATUS_LINE[response.status_code] + head + b"\r\n" + bytes(response.body)
