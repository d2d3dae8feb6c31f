"""Waiting for tasks: for their end, and for the end of those that talk to Redis."""

import asyncio
from concurrent.futures import Future, wait
from typing import Any

# How long a task may take to end before it is told again; s.
_AGAIN = 1.0
# How often the main thread looks up from waiting; s.
_LOOK_UP = 0.25


async def end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and wait until they have ended.

    They are told again and again: a cancellation that comes while redis-py connects can be lost on its way.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN)


def wait_here(work: "Future[None]") -> None:
    """Wait in the main thread for what another does, and handle signals meanwhile; raises what that raises.

    A signal that comes just before the wait begins, or to another thread, does not interrupt it.
    """
    while not wait((work,), timeout=_LOOK_UP).done:
        pass
    work.result()
