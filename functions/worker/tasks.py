"""Ending asyncio tasks that talk to Redis."""

import asyncio
from typing import Any

# How long a task may take to end before it is told again; s.
_AGAIN = 1.0


async def end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and wait until they have ended.

    They are told again and again: a cancellation that comes while redis-py connects can be lost on its way.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN)
