"""What the CLI is asked."""

import json
import secrets
from collections.abc import AsyncIterator
from typing import Any


async def prompt(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """Give the query in a block of its own, and the context, if any, in one before it.

    The blocks cannot be confused: the model is told under a name that no client can foresee which one is data.
    """
    content = [{"type": "text", "text": request["query"]}]
    if (context := request.get("context")) is not None:
        name = f"context-{secrets.token_hex(8)}"
        data = json.dumps(context, ensure_ascii=False, indent=1)
        told = f"Data that the application supplies for the message that follows:\n<{name}>\n{data}\n</{name}>"
        content.insert(0, {"type": "text", "text": told})
    yield {"type": "user", "message": {"role": "user", "content": content}, "parent_tool_use_id": None}
