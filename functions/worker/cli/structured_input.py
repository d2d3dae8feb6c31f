"""The input of the model's StructuredOutput call, with its exact digits.

The CLI parses JSON as JavaScript does, so that integers above 2^53 in its envelope are rounded. The streamed pieces of
the call's input have the digits that the model wrote.
"""

import json
from contextlib import suppress
from typing import Any

from claude_agent_sdk import StreamEvent
from claude_agent_sdk.types import Message

TOOL = "StructuredOutput"
# Characters of one call that are kept: more than a model writes in one answer.
_LARGEST = 16 << 20


class StructuredInput:
    """Collects the streamed input of each StructuredOutput call of a run; keeps the last."""

    def __init__(self) -> None:
        self._pieces: list[str] | None = None
        self._size = 0
        self._last: Any = None

    def observe(self, message: Message) -> None:
        """Collect the input of such a call from a streamed event."""
        match message:
            case StreamEvent(event=event, parent_tool_use_id=None):
                self._add(event)
            case _:
                pass

    def _add(self, event: dict[str, Any]) -> None:
        match event:
            case {"type": "content_block_start", "content_block": {"type": "tool_use", "name": name}}:
                self._pieces, self._size = [] if name == TOOL else None, 0
            case {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": str(piece)}}:
                self._size += len(piece)
                # A tool can write to the CLI's output, without end.
                if self._pieces is not None and self._size <= _LARGEST:
                    self._pieces.append(piece)
            case {"type": "content_block_stop"} if self._pieces is not None:
                # Ignore a number with more digits than Python parses, and a call that was cut.
                with suppress(ValueError):
                    self._last = json.loads("".join(self._pieces))
                self._pieces = None
            case _:
                pass

    def exact(self, rounded: Any) -> Any:
        """Return the last call's input if it equals the CLI's value apart from rounding, else the CLI's value."""
        return self._last if _same(self._last, rounded) else rounded


def _same(exact: Any, rounded: Any) -> bool:
    match exact, rounded:
        case dict(), dict():
            return exact.keys() == rounded.keys() and all(_same(exact[name], rounded[name]) for name in exact)
        case list(), list():
            return len(exact) == len(rounded) and all(map(_same, exact, rounded))
        case bool(), _:
            return exact is rounded
        case int() | float(), int() | float() if not isinstance(rounded, bool):
            try:
                return float(exact) == float(rounded)
            except OverflowError:
                return False
        case _:
            return type(exact) is type(rounded) and bool(exact == rounded)
