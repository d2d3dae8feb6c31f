"""A job's answer as the stream events of Anthropic's API."""

import json
from typing import Any

from functions.anthropic import views
from shared.api.errors import GatewayError
from shared.api.event_stream import encode_event
from shared.http.compat import anthropic_error
from shared.store.jobs.records import StoredJob


class MessageWriter:
    """Writes the events of one message: a block of text, or the input of a forced tool; calls of tools at its end."""

    def __init__(self, job_id: str, model: str, request_id: str, tool: str | None = None) -> None:
        self._job_id, self._model, self._request_id, self._tool = job_id, model, request_id, tool
        self._open = False

    def begin(self) -> bytes:
        """Write the event that precedes the text."""
        return _event("message_start", message=views.begun_message(self._job_id, self._model))

    def add(self, text: str) -> bytes:
        """Write the next piece of text."""
        written = b""
        block: dict[str, Any] = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": text}
        if self._tool is not None:
            block, delta = views.tool_use(self._job_id, self._tool), {"type": "input_json_delta", "partial_json": text}
        if not self._open:
            self._open = True
            written = _event("content_block_start", index=0, content_block=block)
        return written + _event("content_block_delta", index=0, delta=delta)

    def step(self, data: str) -> bytes:  # noqa: ARG002 -- a part of the protocol
        """Return nothing: this API has no form for a call that the gateway made."""
        return b""

    def restart(self) -> None:
        """Return None: a message cannot take its text back."""

    def end(self, job: StoredJob, rest: str) -> bytes:
        """Write the rest of the text and the end of the message."""
        result = job.result or {}
        calls = views.calls_of(result)
        written = self.add(rest) if rest or not (self._open or calls) else b""
        if self._open:
            written += _event("content_block_stop", index=0)
        written += b"".join(_call(call, index) for index, call in enumerate(calls, start=int(self._open)))
        delta = {"stop_reason": views.stop_reason_of(result, self._tool), "stop_sequence": None}
        return written + _event("message_delta", delta=delta, usage=views.usage_of(result)) + _event("message_stop")

    def fail(self, error: GatewayError) -> bytes:
        """Write the error that ends the stream."""
        return _event("error", error=anthropic_error(error)[1], request_id=self._request_id)

    def keep_alive(self) -> bytes:
        """Write an event that clients ignore."""
        return _event("ping")


def _call(call: dict[str, Any], index: int) -> bytes:
    text = json.dumps(call["input"], ensure_ascii=False)
    return (
        _event("content_block_start", index=index, content_block={**call, "input": {}})
        + _event("content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": text})
        + _event("content_block_stop", index=index)
    )


def _event(kind: str, **fields: Any) -> bytes:
    return encode_event(kind, json.dumps({"type": kind, **fields}, ensure_ascii=False))
