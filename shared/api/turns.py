"""The turns of a conversation, which compat APIs translate into the fields of a query."""

from dataclasses import dataclass, field
from typing import Any

Block = dict[str, Any]

QUERY: Block = {"type": "query"}
"""Stands for the query among the other blocks of its turn."""


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

        The other blocks of the last turn are in the history, around the block `QUERY`.
        """
        *earlier, last = self.turns
        place = max((place for place, block in enumerate(last.blocks) if block["type"] == "text"), default=None)
        if place is None:
            return {"query": ""}
        fields: dict[str, Any] = {"query": last.blocks[place]["text"]}
        history = [{"role": turn.role, "content": turn.blocks} for turn in earlier]
        if len(last.blocks) > 1:
            content = [*last.blocks[:place], QUERY, *last.blocks[place + 1 :]]
            history.append({"role": "user", "content": content})
        fields["history"] = history
        if self.attachments:
            fields["attachments"] = self.attachments
        return fields


def text(words: str) -> Block:
    """Return a block of text."""
    return {"type": "text", "text": words}
