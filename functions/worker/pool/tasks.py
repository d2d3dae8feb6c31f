"""Cancelling asyncio tasks, and waiting for them from another thread."""

import asyncio
from concurrent.futures import Future, wait
from typing import Any

# Seconds before a task that has not ended is cancelled again.
_CANCEL_AGAIN = 1.0
# Seconds between two interruptions of a wait, in which signals are handled.
_INTERRUPT_EVERY = 0.25


async def end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and wait until they have ended.

    They are cancelled repeatedly: redis-py can lose a cancellation while it connects.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_CANCEL_AGAIN)


def wait_here(work: "Future[None]") -> None:
    """Wait in the main thread for a result of another thread, and handle signals meanwhile; raise its error.

    A signal that arrives just before the wait, or in another thread, does not interrupt it.
    """
    while not wait((work,), timeout=_INTERRUPT_EVERY).done:
        pass
    work.result()
