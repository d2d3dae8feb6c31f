"""Work of an attempt that ends early when its claim is lost, its slot has to end, or its time is over."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from functions.worker.jobs.context import Signals

T = TypeVar("T")


class ClaimLostError(Exception):
    """The job was cancelled, or given to another slot."""


class ShutdownError(Exception):
    """The slot has to end before the run has ended."""


async def uninterrupted(
    work: Coroutine[Any, Any, T],
    heartbeat: "asyncio.Task[None]",
    signals: Signals,
    seconds: float | None = None,
    overtime: float = 0.0,
) -> T:
    """Return the result of work; cancel it when the claim is lost, the slot has to end, or its time is over.

    Raises ClaimLostError, ShutdownError or TimeoutError for that. A slot that has to end waits for `overtime` s.
    """
    task = asyncio.create_task(work)
    stopped = asyncio.create_task(signals.stop.wait())
    cancelled = asyncio.create_task(signals.cancel.wait())
    try:
        waited_for = {task, heartbeat, stopped, cancelled}
        await asyncio.wait(waited_for, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if stopped.done() and not task.done():
            await asyncio.wait({task, heartbeat, cancelled}, timeout=overtime, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if heartbeat.done() or cancelled.done():
            raise ClaimLostError
        if stopped.done():
            raise ShutdownError
        raise TimeoutError
    finally:
        for one in (task, stopped, cancelled):
            await cancel(one)


async def cancel(task: "asyncio.Task[Any]") -> None:
    """Cancel a task, and wait for its end."""
    task.cancel()
    await asyncio.wait({task})
