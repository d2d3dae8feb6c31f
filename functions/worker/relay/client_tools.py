"""Tools that a run's client offers the model and runs itself: the CLI knows nothing of them.

The relay adds them to the run's requests, and puts earlier calls and results in the places of their placeholders. The
CLI would mark a call at the end of a transcript as interrupted, and answer a result there itself.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.worker.relay.request import BadRequestError

Block = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ClientTools:
    """The tools and the choice among them in the form of the Messages API; `blocks` are those of the placeholders."""

    tools: tuple[dict[str, Any], ...]
    choice: dict[str, Any] | None
    blocks: Mapping[str, Block]

    @property
    def names(self) -> frozenset[str]:
        """The names of the tools."""
        return frozenset(tool["name"] for tool in self.tools)

    def added_to(self, body: bytes) -> bytes:
        """Return the body of a request with the tools and the blocks.

        Raises BadRequestError for a request with which the CLI goes on after a call: the run ends with the call.
        """
        fields: dict[str, Any] = json.loads(body)
        fields["messages"] = [self._restored(message) for message in fields.get("messages", ())]
        if self.tools:
            fields["tools"] = [*(fields.get("tools") or ()), *self.tools]
        if self.choice is not None:
            fields["tool_choice"] = self.choice
        return json.dumps(fields).encode()

    def _restored(self, message: dict[str, Any]) -> dict[str, Any]:
        content = message.get("content")
        if not isinstance(content, list):
            content = [{"type": "text", "text": content}]
        blocks = [self._block(block) for block in content]
        # Claude accepts no text before results; the CLI may add a text of its own.
        blocks.sort(key=lambda block: block.get("type") != "tool_result")
        return {**message, "content": blocks}

    def _block(self, block: dict[str, Any]) -> dict[str, Any]:
        if block.get("type") == "tool_use" and block.get("name") in self.names:
            raise BadRequestError("The client has not answered the call of its tool")
        text = block.get("text")
        found = self.blocks.get(text) if block.get("type") == "text" and isinstance(text, str) else None
        if found is None:
            return block
        marks = {"cache_control": block["cache_control"]} if "cache_control" in block else {}
        return {**found, **marks}
