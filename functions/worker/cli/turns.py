"""The turns of a stored request: those before the query, and the blocks of its turn around the query."""

import secrets
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from shared.api.turns import NO_QUERY, QUERY, TOOL_BLOCKS

Block = dict[str, Any]
Turn = dict[str, Any]


class Turns(NamedTuple):
    """The earlier turns, in alternating roles, and the content before and after the query.

    A block of the type `attachment` stands for an attachment of the request. `placeholders` are the texts that stand
    for calls and results of the client's tools, which the CLI would not pass on: the relay puts the blocks back.
    """

    history: tuple[Turn, ...] = ()
    before: tuple[Block, ...] = ()
    after: tuple[Block, ...] = ()
    shows_query: bool = True
    placeholders: Mapping[str, Block] = MappingProxyType({})


def split(turns: Sequence[Turn], attachments: int) -> Turns:
    """Return the turns of a request with so many attachments; those of no turn precede the query.

    As in the Messages API, consecutive turns of one role are one turn; the CLI would add line breaks between them.
    """
    joined: list[Turn] = []
    placeholders: dict[str, Block] = {}
    for given in turns:
        turn = {**given, "content": [_with_placeholder(block, placeholders) for block in given["content"]]}
        if joined and joined[-1]["role"] == turn["role"]:
            joined[-1] = {**turn, "content": [*joined[-1]["content"], *turn["content"]]}
        else:
            joined.append(turn)
    last = joined.pop()["content"] if joined and joined[-1]["role"] == "user" else []
    shows_query = NO_QUERY not in last
    mark = QUERY if shows_query else NO_QUERY
    place = last.index(mark) if mark in last else len(last)
    before, after = last[:place], last[place + 1 :]
    content = [block for turn in (*joined, {"content": last}) for block in turn["content"]]
    placed = {block["number"] for block in content if block["type"] == "attachment"}
    before += [{"type": "attachment", "number": number} for number in range(attachments) if number not in placed]
    return Turns(tuple(joined), tuple(before), tuple(after), shows_query, placeholders)


def _with_placeholder(block: Block, placeholders: dict[str, Block]) -> Block:
    """Return a block, or for one of a client's tool the text that stands for it."""
    if block["type"] not in TOOL_BLOCKS:
        return block
    # No client can predict it, so that no text of a client is taken for one.
    name = f"{block['type']} {secrets.token_hex(16)}"
    placeholders[name] = block
    return {"type": "text", "text": name}


def shown(blocks: Sequence[Block], attached: Sequence[Block]) -> list[Block]:
    """Return blocks as the model is shown them, with the attachments in their places."""
    return [attached[block["number"]] if block["type"] == "attachment" else block for block in blocks]
