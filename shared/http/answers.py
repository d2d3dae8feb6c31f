"""Responses that routes write themselves."""

from collections.abc import AsyncIterator, Mapping
from functools import lru_cache

from fastapi import Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from shared.api.models import Result

# Cached results that are kept as they were written last, and the characters of the longest: 8 MB in all at most.
_KEPT, _LONGEST_KEPT = 256, 4096
# Proxies may not store, compress or buffer a stream.
UNBUFFERED = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}


class _Json(Response):
    """A response with a body of JSON."""

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Write the header fields. None of those that are given is one of the body's, as Starlette allows."""
        given = headers.items() if headers else ()
        self.raw_headers = [
            (b"content-length", b"%d" % len(self.body)),
            (b"content-type", b"application/json"),
            *[(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in given],
        ]


def as_json(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Write a body as JSON with the names of the API."""
    return _Json(body.model_dump_json(by_alias=True), status, headers)


def as_accepted(request_id: str, kind: str, job_id: str, headers: dict[str, str]) -> Response:
    """Write the answer to an accepted submission: `Accepted`, whose values need no escapes."""
    return _Json(f'{{"requestId":"{request_id}","status":"{kind}","jobId":"{job_id}"}}', 202, headers)


def as_cached(request_id: str, job_id: str, result: str, headers: dict[str, str]) -> Response:
    """Write a cached answer; `result` is the result as the store has it."""
    body = (_kept if len(result) <= _LONGEST_KEPT else _written)(result)
    # `Cached`, whose ids need no escapes.
    text = f'{{"requestId":"{request_id}","status":"cached","jobId":"{job_id}","result":{body}}}'
    return _Json(text, 200, headers)


def _written(stored: str) -> str:
    """Return a stored result in the form of the API: validated, with the fields that it lacks."""
    return Result.model_validate_json(stored).model_dump_json(by_alias=True)


_kept = lru_cache(_KEPT)(_written)


def event_stream(events: AsyncIterator[bytes], headers: dict[str, str] | None = None) -> Response:
    """Stream server-sent events."""
    return StreamingResponse(events, headers={**(headers or {}), **UNBUFFERED}, media_type="text/event-stream")
