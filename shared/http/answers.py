"""Responses that routes write themselves."""

from collections.abc import AsyncIterator

from fastapi import Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

# Proxies may not store, compress or buffer a stream.
UNBUFFERED = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}


def as_json(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Write a body as JSON with the names of the API."""
    return Response(body.model_dump_json(by_alias=True), status, headers, "application/json")


def event_stream(events: AsyncIterator[bytes], headers: dict[str, str] | None = None) -> Response:
    """Stream server-sent events."""
    return StreamingResponse(events, headers={**(headers or {}), **UNBUFFERED}, media_type="text/event-stream")
