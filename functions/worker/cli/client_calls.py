"""The calls of the client's tools in the model's message, with their exact input."""

import json
from typing import Any

from claude_agent_sdk import StreamEvent
from claude_agent_sdk.types import Message


class CallError(Exception):
    """The input of a call is not a JSON object."""


class ClientCalls:
    """Collects the streamed calls of one message of the run itself; `size` is the length of their input so far."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._calls: list[dict[str, Any]] = []
        self._pieces: list[str] | None = None
        self.size = 0

    def observe(self, message: Message) -> list[dict[str, Any]]:
        """Collect from a message; return the calls when the model has ended its message with any.

        Raises CallError.
        """
        match message:
            case StreamEvent(event=event, parent_tool_use_id=None) if self._names:
                return self._add(event)
            case _:
                return []

    def _add(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        match event:
            case {"type": "message_start"}:
                self._calls = []
            case {"type": "content_block_start", "content_block": {"type": "tool_use", "id": call, "name": str(name)}}:
                if name in self._names:
                    self._pieces = []
                    self._calls.append({"id": call, "name": name})
            case {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": str(piece)}}:
                if self._pieces is not None:
                    self._pieces.append(piece)
                    self.size += len(piece)
            case {"type": "content_block_stop"} if self._pieces is not None:
                self._calls[-1]["input"] = _parsed("".join(self._pieces))
                self._pieces = None
            case {"type": "message_stop"}:
                return self._calls
            case _:
                pass
        return []


def _parsed(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise CallError from None
    if not isinstance(given, dict):
        raise CallError
    return given
