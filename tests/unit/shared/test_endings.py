"""Waiting for a job's end loses no cancellation."""

import asyncio
import time

import pytest

from shared.store.jobs.endings import within


@pytest.mark.parametrize("turns", range(5))
async def test_a_cancellation_that_comes_with_the_event_is_kept(turns):
    """Catches a client that leaves in the moment of an event, and whose stream goes on."""
    event = asyncio.Event()
    waiting = asyncio.create_task(within(time.monotonic() + 60, event))
    await asyncio.sleep(0)
    event.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    if waiting.cancel():
        with pytest.raises(asyncio.CancelledError):
            await waiting
    else:
        assert waiting.result()


async def test_a_wait_ends_at_its_deadline():
    assert not await within(time.monotonic() + 0.01, asyncio.Event())
