"""Hearing of what happens to jobs, without polling: one subscription for all who listen in an event loop."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import redis.asyncio
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from shared.store import keys

# How long a lost subscription waits for the next try, and how often a listener looks whether anybody listens; seconds.
_RECONNECT, _LOOK_EVERY = 0.5, 1.0
# What `transitions.lua` publishes at a job's end; anything else is news of its stream.
_END = "end"

_listeners: WeakKeyDictionary[redis.asyncio.Redis, "_Listener"] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True, eq=False)
class Ear:
    """Two events for one who listens: `ready` when nothing is missed any more, `heard` when it is time to look."""

    only_end: bool
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Let it look: what came while nobody listened, or that the store is away."""
        self.ready.set()
        self.heard.set()


@contextmanager
def listening(client: redis.asyncio.Redis, job_id: str, *, only_end: bool = False) -> Iterator[Ear]:
    """Listen to a job, from `with` to the end of it."""
    with _listeners.setdefault(client, _Listener(client)).listening(keys.channel(job_id), only_end) as ear:
        yield ear


class _Listener:
    """Subscribes to the channels of the jobs that anybody listens to, for as long as anybody does.

    It ends by itself and is never cancelled: a cancellation in the middle of connecting can be lost on its way.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._ears: dict[str, set[Ear]] = {}
        self._confirmed: set[str] = set()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._heard = 0.0

    @contextmanager
    def listening(self, channel: str, only_end: bool) -> Iterator[Ear]:
        # One that has not looked for so long was frozen with its Lambda, and its connection may be dead by now.
        if self._task is None or self._task.done() or time.monotonic() - self._heard > 3 * _LOOK_EVERY:
            self._heard = time.monotonic()
            self._confirmed = set()
            self._task = asyncio.create_task(self._listen(self._confirmed))
        ear = Ear(only_end)
        self._ears.setdefault(channel, set()).add(ear)
        if channel in self._confirmed:
            ear.ready.set()
        self._changed.set()
        try:
            yield ear
        finally:
            self._ears[channel].discard(ear)
            if not self._ears[channel]:
                del self._ears[channel]
                self._changed.set()

    async def _listen(self, confirmed: set[str]) -> None:
        while self._ears and confirmed is self._confirmed:
            try:
                async with self._client.pubsub() as pubsub:
                    await self._follow(pubsub, confirmed)
            except (RedisError, OSError):
                # Whoever listens finds out by looking, and is told that the store is away.
                confirmed.clear()
                for ear in (ear for ears in self._ears.values() for ear in ears):
                    ear.wake()
                await asyncio.sleep(_RECONNECT)

    async def _follow(self, pubsub: PubSub, confirmed: set[str]) -> None:
        """Keep the subscriptions those that are wanted, and pass on what comes, until nobody listens."""
        subscribed: set[str] = set()
        reading: asyncio.Task[Any] | None = None
        # A moment longer than anybody listens, for the next one.
        while (self._ears or reading) and confirmed is self._confirmed:
            self._changed.clear()
            wanted = set(self._ears)
            if new := wanted - subscribed:
                # A revocation first: whoever is ready for news of a job misses none.
                await pubsub.subscribe(*(() if subscribed else (keys.REVOCATIONS,)), *new)
            if old := subscribed - wanted:
                confirmed -= old
                await pubsub.unsubscribe(*old)
            subscribed = wanted
            # Never cancelled: half of a message could be lost.
            reading = reading or asyncio.create_task(pubsub.get_message(timeout=_LOOK_EVERY))
            changed = asyncio.create_task(self._changed.wait())
            await asyncio.wait({reading, changed}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            if reading.done():
                self._heard = time.monotonic()
                self._pass_on(reading.result(), confirmed)
                reading = None
        if reading is not None:
            await asyncio.wait({reading})
            reading.exception()  # looked at, so that nobody calls it forgotten

    def _pass_on(self, message: dict[str, Any] | None, confirmed: set[str]) -> None:
        match message:
            case {"type": "subscribe", "channel": channel}:
                confirmed.add(channel)
                for ear in self._ears.get(channel, ()):
                    ear.wake()
            case {"type": "message", "channel": keys.REVOCATIONS}:
                # Whose key it is shows when the job is read again.
                for ear in (ear for ears in self._ears.values() for ear in ears):
                    ear.heard.set()
            case {"type": "message", "channel": channel, "data": data}:
                for ear in self._ears.get(channel, ()):
                    if data == _END or not ear.only_end:
                        ear.heard.set()
            case _:
                pass
