"""The turns of a conversation, which compat APIs translate into the fields of a query."""

from dataclasses import dataclass, field
from typing import Any

Block = dict[str, Any]

TOOL_BLOCKS = frozenset({"tool_use", "tool_result"})
"""The types of the calls of a client's tools, and of their results."""

QUERY: Block = {"type": "query"}
"""Stands for the query among the other blocks of its turn."""

NO_QUERY: Block = {"type": "no_query"}
"""Ends a last turn that has results of the client's tools and no text: the model is not shown the query again."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn: its role, its texts and attachments, and its place in the body."""

    role: str
    blocks: list[Block]
    place: str

    @property
    def is_blank(self) -> bool:
        """Whether the turn has no block, or a blank text."""
        return not self.blocks or any(not block["text"].strip() for block in self.blocks if block["type"] == "text")


@dataclass(slots=True)
class Conversation:
    """The turns of a request; a block of the type `attachment` stands for one of `attachments`.

    `places` says where in the body each attachment is.
    """

    turns: list[Turn] = field(default_factory=list)
    attachments: list[Block] = field(default_factory=list)
    places: list[str] = field(default_factory=list)

    def attach(self, attachment: Block, place: str) -> Block:
        """Add an attachment; return the block that stands for it."""
        self.attachments.append(attachment)
        self.places.append(place)
        return {"type": "attachment", "number": len(self.attachments) - 1}

    @property
    def has_query(self) -> bool:
        """Whether the last turn is the user's."""
        return bool(self.turns) and self.turns[-1].role == "user"

    @property
    def has_earlier_turns(self) -> bool:
        """Whether there are turns before the last."""
        return len(self.turns) > 1

    def fields(self) -> dict[str, Any]:
        """Return the fields of a query: the last text of the last turn is the query.

        The other blocks of the last turn are in the history, around the block `QUERY`. After results of tools without
        a text, the query is the user's last text.
        """
        *earlier, last = self.turns
        place = max((place for place, block in enumerate(last.blocks) if block["type"] == "text"), default=None)
        history = [{"role": turn.role, "content": turn.blocks} for turn in earlier]
        if place is None and any(block["type"] == "tool_result" for block in last.blocks):
            history.append({"role": "user", "content": [*last.blocks, NO_QUERY]})
            return {"query": self._last_text(), "history": history, **self._attached()}
        if place is None:
            return {"query": ""}
        fields: dict[str, Any] = {"query": last.blocks[place]["text"]}
        if len(last.blocks) > 1:
            content = [*last.blocks[:place], QUERY, *last.blocks[place + 1 :]]
            history.append({"role": "user", "content": content})
        return {**fields, "history": history, **self._attached()}

    def _attached(self) -> dict[str, Any]:
        return {"attachments": self.attachments} if self.attachments else {}

    def _last_text(self) -> str:
        blocks = (block for turn in self.turns if turn.role == "user" for block in turn.blocks)
        texts = [block["text"] for block in blocks if block["type"] == "text"]
        return str(texts[-1]) if texts else ""

    def unpaired(self) -> tuple[str, str] | None:
        """Return the place of a turn with a call without a result, or a result without a call, and what is wrong."""
        waiting: dict[str, str] = {}
        previous = ""
        for turn in self.turns:
            if turn.role == "assistant" and previous == "user" and waiting:
                break
            previous = turn.role
            for block in turn.blocks:
                if block["type"] == "tool_use":
                    waiting[block["id"]] = turn.place
                elif block["type"] == "tool_result" and waiting.pop(block["tool_use_id"], None) is None:
                    return turn.place, f"the result {block['tool_use_id']} is of no call in the message before"
        for call, place in waiting.items():
            return place, f"the call {call} has no result in the next message"
        return None


def beside_calls(blocks: list[Block]) -> list[Block]:
    """Return the blocks of a turn; beside calls and results, blank text, which Claude refuses, is left out."""
    if all(block["type"] not in TOOL_BLOCKS for block in blocks):
        return blocks
    return [block for block in blocks if block["type"] != "text" or block["text"].strip()]


def text(words: str) -> Block:
    """Return a block of text."""
    return {"type": "text", "text": words}
