"""Answers as routes write them by themselves."""

from collections.abc import AsyncIterator

from fastapi import Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel


def as_json(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Write a body by the names that it has in the API."""
    return Response(body.model_dump_json(by_alias=True), status, headers, "application/json")


def event_stream(events: AsyncIterator[bytes], headers: dict[str, str] | None = None) -> Response:
    """Write server-sent events as they come: no proxy may store, compress or buffer them."""
    unheld = {**(headers or {}), "Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, headers=unheld, media_type="text/event-stream")
