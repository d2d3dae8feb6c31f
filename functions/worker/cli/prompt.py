"""The user message of a run."""

import json
import secrets
from collections.abc import AsyncIterator, Sequence
from typing import Any

from functions.worker.cli.plan import Prompt
from functions.worker.cli.turns import Block, shown


async def messages_of(prompt: Prompt, attached: Sequence[Block] = ()) -> AsyncIterator[dict[str, Any]]:
    """Yield the user message: the context, if any, in one block, then the query with the blocks around it.

    The context is inside a tag whose name no client can predict, so that the model can tell the blocks apart.
    """
    query = [{"type": "text", "text": prompt.query}] if prompt.shows_query else []
    content = [*shown(prompt.before, attached), *query, *shown(prompt.after, attached)]
    if prompt.context is not None:
        name = f"context-{secrets.token_hex(8)}"
        data = json.dumps(prompt.context, ensure_ascii=False, indent=1)
        block = f"Data that the application supplies for the message that follows:\n<{name}>\n{data}\n</{name}>"
        content.insert(0, {"type": "text", "text": block})
    yield {"type": "user", "message": {"role": "user", "content": content}, "parent_tool_use_id": None}
