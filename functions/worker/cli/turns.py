"""The turns of a stored request: those before the query, and the blocks of its turn around the query."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from shared.api.turns import QUERY

Block = dict[str, Any]
Turn = dict[str, Any]


class Turns(NamedTuple):
    """The earlier turns, in alternating roles, and the content before and after the query.

    A block of the type `attachment` stands for an attachment of the request.
    """

    history: tuple[Turn, ...] = ()
    before: tuple[Block, ...] = ()
    after: tuple[Block, ...] = ()


def split(turns: Sequence[Turn], attachments: int) -> Turns:
    """Return the turns of a request with so many attachments; those of no turn precede the query.

    As in the Messages API, consecutive turns of one role are one turn; the CLI would add line breaks between them.
    """
    joined: list[Turn] = []
    for turn in turns:
        if joined and joined[-1]["role"] == turn["role"]:
            joined[-1] = {**turn, "content": [*joined[-1]["content"], *turn["content"]]}
        else:
            joined.append(turn)
    last = joined.pop()["content"] if joined and joined[-1]["role"] == "user" else []
    place = last.index(QUERY) if QUERY in last else len(last)
    before, after = last[:place], last[place + 1 :]
    content = [block for turn in (*joined, {"content": last}) for block in turn["content"]]
    placed = {block["number"] for block in content if block["type"] == "attachment"}
    before += [{"type": "attachment", "number": number} for number in range(attachments) if number not in placed]
    return Turns(tuple(joined), tuple(before), tuple(after))


def shown(blocks: Sequence[Block], attached: Sequence[Block]) -> list[Block]:
    """Return blocks as the model is shown them, with the attachments in their places."""
    return [attached[block["number"]] if block["type"] == "attachment" else block for block in blocks]
