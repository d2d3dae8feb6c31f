"""A job's answer as the stream events of Anthropic's API."""

import json
from typing import Any

from functions.anthropic import views
from shared.api.errors import GatewayError
from shared.api.event_stream import encode_event
from shared.http.compat import anthropic_error
from shared.store.jobs.records import StoredJob


class MessageWriter:
    """Writes the events of one message with one text block."""

    def __init__(self, job_id: str, model: str, request_id: str) -> None:
        self._job_id, self._model, self._request_id = job_id, model, request_id
        self._open = False

    def begin(self) -> bytes:
        """Write the event that precedes the text."""
        return _event("message_start", message=views.begun_message(self._job_id, self._model))

    def add(self, text: str) -> bytes:
        """Write the next piece of text."""
        written = b""
        if not self._open:
            self._open = True
            written = _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        return written + _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})

    def restart(self) -> None:
        """Return None: a message cannot take its text back."""

    def end(self, job: StoredJob, rest: str) -> bytes:
        """Write the rest of the text and the end of the message."""
        result = job.result or {}
        written = b"" if self._open and not rest else self.add(rest)
        written += _event("content_block_stop", index=0)
        delta = {"stop_reason": result.get("stopReason", "end_turn"), "stop_sequence": None}
        return written + _event("message_delta", delta=delta, usage=views.usage_of(result)) + _event("message_stop")

    def fail(self, error: GatewayError) -> bytes:
        """Write the error that ends the stream."""
        return _event("error", error=anthropic_error(error)[1], request_id=self._request_id)

    def keep_alive(self) -> bytes:
        """Write an event that clients ignore."""
        return _event("ping")


def _event(kind: str, **fields: Any) -> bytes:
    return encode_event(kind, json.dumps({"type": kind, **fields}, ensure_ascii=False))
