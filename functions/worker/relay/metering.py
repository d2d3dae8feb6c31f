"""Metering: what each answer of Claude costs, read from the stream as it passes."""

import json
import zlib
from typing import Any

from functions.worker.relay.prices import base_name, cost_of
from shared.store.callers.spending import Spend

# A longer line is no message_start or message_delta; the rest of it is skipped. Bytes.
_LONGEST_LINE = 1 << 20
# An answer without streaming is one JSON object; usage is read from one of at most this size. Bytes.
_LONGEST_OBJECT = 16 << 20
_LONGEST_REASON = 50
_EVENT_NAMES = (b'"message_start"', b'"message_delta"', b'"error"', b'"message_stop"')
# Stop reasons of an answer that is incomplete.
INCOMPLETE = frozenset({"max_tokens", "model_context_window_exceeded"})
# The names in events that are read after the first content block.
READ = (b'"message_', b'"error"')
_FIELDS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_creation": "cache_creation_input_tokens",
}


class AnswerMeter:
    """Reads one answer; `model` is the answering model, `usage` the latest counts of the Messages API.

    `ended` is set at `message_stop`, `failure` at an `error` event, `has_content` at the first content block, and
    `is_incomplete` at the `stop_reason`.
    """

    def __init__(self, model: str) -> None:
        self._requested = self.model = model
        self.usage: dict[str, Any] = {}
        self.ended = False
        self.failure: dict[str, Any] | None = None
        self.has_content = self.is_incomplete = False
        self.stop_reason: str | None = None
        self._line = b""
        self._skips = False
        self._object: bytearray | None = None
        self._inflate: Any = None

    def begin(self, content_type: str, encoding: str) -> None:
        """Prepare for an answer with these header values."""
        if encoding in {"gzip", "deflate"}:
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
        if not content_type.startswith("text/event-stream"):
            self._object = bytearray()

    def feed(self, data: bytes) -> None:
        """Read the next bytes of the body."""
        if self._inflate is None:
            self._feed(data)
            return
        # In pieces: a few bytes can be a gigabyte.
        while data:
            try:
                piece = self._inflate.decompress(data, _LONGEST_LINE)
            except zlib.error:
                return
            data = self._inflate.unconsumed_tail
            self._feed(piece)

    def _feed(self, data: bytes) -> None:
        if self._object is not None:
            if len(self._object) + len(data) <= _LONGEST_OBJECT:
                self._object += data
            return
        *lines, rest = (self._line + data).split(b"\n")
        for line in lines:
            if self._skips:
                self._skips = False
            else:
                self._read(line)
        self._line = rest if len(rest) <= _LONGEST_LINE else b""
        self._skips = self._skips or len(rest) > _LONGEST_LINE

    def is_between_events(self) -> bool:
        """Return whether the next chunk begins an event, and only one that names READ changes the meter."""
        return (
            self.has_content and not self._line and not self._skips and self._object is None and self._inflate is None
        )

    def end(self) -> None:
        """Take the body as complete."""
        if self._object is not None:
            message = _parsed(bytes(self._object))
            self._start(message)
            self._end({"delta": message})
            self.ended, self.has_content = True, bool(message.get("content"))

    def _read(self, line: bytes) -> None:
        if not line.startswith(b"data:"):
            return
        self.has_content = self.has_content or b'"content_block_start"' in line
        if not any(name in line for name in _EVENT_NAMES):
            return
        event = _parsed(line[5:])
        match event.get("type"):
            case "message_start" if isinstance(event.get("message"), dict):
                self._start(event["message"])
            case "message_delta":
                self._end(event)
            case "message_stop":
                self.ended = True
            case "error":
                error = event.get("error")
                self.failure = error if isinstance(error, dict) else {}
            case _:
                pass

    def _end(self, event: dict[str, Any]) -> None:
        if isinstance(event.get("usage"), dict):
            # Counts of the whole message so far; what is left out or null stands.
            self.usage |= {name: value for name, value in event["usage"].items() if value}
        match event.get("delta"):
            case {"stop_reason": str(reason)}:
                self.is_incomplete = reason in INCOMPLETE
                self.stop_reason = reason[:_LONGEST_REASON]
            case _:
                pass

    def _start(self, message: dict[str, Any]) -> None:
        answering = message.get("model")
        # A name that differs only by its date is the same model, and counts under the requested name.
        if isinstance(answering, str) and answering and base_name(answering) != base_name(self._requested):
            self.model = answering
        if isinstance(message.get("usage"), dict):
            self.usage = dict(message["usage"])

    @property
    def spend(self) -> Spend | None:
        """The cost of the answer so far; None before any count."""
        if not self.usage:
            return None
        counts = {kind: _whole(self.usage.get(name)) for kind, name in _FIELDS.items()}
        return Spend(self.model, cost_of(self.model, self.usage), **counts)


class Ledger:
    """The sum of a run's answers by model, of those in flight and of those that were cut too."""

    def __init__(self) -> None:
        self._done: dict[str, Spend] = {}
        self._open: list[AnswerMeter] = []

    def open(self, model: str) -> AnswerMeter:
        """Return the meter of a new answer."""
        meter = AnswerMeter(model)
        self._open.append(meter)
        return meter

    def close(self, meter: AnswerMeter) -> None:
        """Add the answer of a meter to what is done."""
        self._open.remove(meter)
        _add(self._done, meter.spend)

    @property
    def spends(self) -> list[Spend]:
        """The cost of the run so far, by answering model."""
        total = dict(self._done)
        for meter in self._open:
            _add(total, meter.spend)
        return list(total.values())

    @property
    def cost(self) -> float:
        """The cost of the run so far, in USD."""
        return sum(spend.cost or 0.0 for spend in self.spends)


def _add(total: dict[str, Spend], spend: Spend | None) -> None:
    if spend is None:
        return
    before = total.get(spend.model)
    if before is not None:
        spend = Spend(
            spend.model,
            (before.cost or 0.0) + (spend.cost or 0.0),
            input=before.input + spend.input,
            output=before.output + spend.output,
            cache_read=before.cache_read + spend.cache_read,
            cache_creation=before.cache_creation + spend.cache_creation,
        )
    total[spend.model] = spend


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
