"""Wait for the end of a job, without polling."""

import asyncio
import time

import redis.asyncio

from shared.store.callers import callers
from shared.store.jobs import records
from shared.store.redis.pubsub import subscribed


async def read_at_end(
    client: redis.asyncio.Redis, job_id: str, caller: str, seconds: float
) -> records.StoredJob | None:
    """Read one of a caller's jobs when it has ended, or as it is after so many seconds; None as `records.read`.

    Raises KeyRevoked when the caller's key is revoked in the meantime.
    """
    deadline = time.monotonic() + seconds
    job = await records.read(client, job_id, caller)
    if job is None or job.ended or seconds <= 0:
        return job
    with subscribed(client, job_id, only_end=True) as subscription:
        # Only the wait is bounded, never a command: a command that is cancelled half-way costs its connection.
        if not await within(deadline, subscription.ready):
            return job
        while True:
            subscription.changed.clear()
            job = await callers.checked(client, caller, records.read(client, job_id, caller))
            if job is None or job.ended or not await within(deadline, subscription.changed):
                return job


async def within(deadline: float, event: asyncio.Event) -> bool:
    """Wait for an event until a time of the monotonic clock; return whether it was set."""
    try:
        # Not `wait_for`: on Python 3.11 it loses a cancellation that comes with the event, and the stream of a client
        # that has left goes on.
        async with asyncio.timeout(deadline - time.monotonic()):
            await event.wait()
    except TimeoutError:
        return False
    return True
