"""Wait for a state that no event announces: of Redis, a process, a file or a server."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

_PAUSE = 0.01


def until(look: Callable[[], Any], *, within: float = 20) -> Any:
    """Call `look` until its value is true, and return it; AssertionError after `within` seconds."""
    deadline = time.monotonic() + within
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {within} s: {seen!r}"
        time.sleep(_PAUSE)
    return seen


async def until_async(look: Callable[[], Any], *, within: float = 20) -> Any:
    """Do the same without blocking the event loop; `look` may be a coroutine function."""
    deadline = time.monotonic() + within
    while True:
        found = look()
        seen = await found if inspect.isawaitable(found) else found
        if seen:
            return seen
        assert time.monotonic() < deadline, f"not within {within} s: {seen!r}"
        await asyncio.sleep(_PAUSE)
