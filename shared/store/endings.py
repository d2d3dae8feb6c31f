"""Waiting for the end of a job, without polling: one subscription for all who wait in an event loop."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import redis.asyncio
from redis.exceptions import RedisError

from shared.store import jobs, keys

# How long a lost subscription waits for the next try, and how often a listener looks whether anybody waits; seconds.
_RECONNECT, _LOOK_EVERY = 0.5, 1.0

_listeners: WeakKeyDictionary[redis.asyncio.Redis, "_Listener"] = WeakKeyDictionary()


class _Listener:
    """Hears which jobs end, for as long as anybody waits, and a moment longer.

    It ends by itself and is never cancelled: a cancellation in the middle of connecting can be lost on its way.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._subscribed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._heard = 0.0

    @contextmanager
    def listening(self, job_id: str) -> Iterator[tuple[asyncio.Event, asyncio.Event]]:
        """Give two events: one is set when no end is missed any more, one whenever the job may have ended."""
        event = asyncio.Event()
        self._waiting.setdefault(job_id, set()).add(event)
        # One that has not looked for so long was frozen with its Lambda, and its connection may be dead by now.
        if self._task is None or self._task.done() or time.monotonic() - self._heard > 3 * _LOOK_EVERY:
            self._heard = time.monotonic()
            self._subscribed = asyncio.Event()
            self._task = asyncio.create_task(self._listen(self._subscribed))
        try:
            yield self._subscribed, event
        finally:
            self._waiting[job_id].discard(event)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    async def _listen(self, subscribed: asyncio.Event) -> None:
        while self._waiting and subscribed is self._subscribed:
            try:
                async with self._client.pubsub() as channel:
                    await channel.subscribe(keys.ENDED)
                    while self._waiting and subscribed is self._subscribed:
                        message = await channel.get_message(timeout=_LOOK_EVERY)
                        self._heard = time.monotonic()
                        if message is not None and message["type"] == "subscribe":
                            subscribed.set()
                            self._wake(*self._waiting)  # what ended while nobody listened
                        elif message is not None:
                            self._wake(message["data"])
            except (RedisError, OSError):
                # Whoever waits finds out by looking, and is told that the store is away.
                subscribed.set()
                self._wake(*self._waiting)
                await asyncio.sleep(_RECONNECT)

    def _wake(self, *job_ids: str) -> None:
        for job_id in job_ids:
            for event in self._waiting.get(job_id, ()):
                event.set()


async def read_at_end(client: redis.asyncio.Redis, job_id: str, caller: str, seconds: float) -> jobs.StoredJob | None:
    """Read one of a caller's jobs when it has ended, or as it stands after so many seconds; None as `jobs.read`."""
    deadline = time.monotonic() + seconds
    job = await jobs.read(client, job_id, caller)
    if job is None or job.ended or seconds <= 0:
        return job
    with _listeners.setdefault(client, _Listener(client)).listening(job_id) as (subscribed, event):
        # Only the waiting is cut short, never a command: one that is cancelled half-way costs its connection.
        if not await _within(deadline, subscribed):
            return job
        while True:
            event.clear()
            job = await jobs.read(client, job_id, caller)
            if job is None or job.ended or not await _within(deadline, event):
                return job


async def _within(deadline: float, event: asyncio.Event) -> bool:
    try:
        await asyncio.wait_for(event.wait(), deadline - time.monotonic())
    except TimeoutError:
        return False
    return True
