"""The user message of a run."""

import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

from functions.worker.cli.plan import Prompt


async def messages_of(prompt: Prompt) -> AsyncIterator[dict[str, Any]]:
    """Yield the user message: what the user wrote before, the context in a block of its own, and the query.

    The context is inside a tag whose name no client can predict, so that the model can tell the blocks apart.
    """
    content: list[dict[str, Any]] = [{"type": "text", "text": prompt.query}]
    if prompt.context is not None:
        name = f"context-{secrets.token_hex(8)}"
        data = json.dumps(prompt.context, ensure_ascii=False, indent=1)
        block = f"Data that the application supplies for the message that follows:\n<{name}>\n{data}\n</{name}>"
        content.insert(0, {"type": "text", "text": block})
    content[:0] = prompt.before
    yield {"type": "user", "message": {"role": "user", "content": content}, "parent_tool_use_id": None}
