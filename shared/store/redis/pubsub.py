"""Subscriptions to the events of jobs: one connection for all subscribers of an event loop."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import redis.asyncio
from redis.exceptions import RedisError

from shared.store import keys
from shared.store.redis.channels import Channels

# Seconds before a lost connection is opened again, and between two checks whether there are subscribers.
_RECONNECT, _CHECK_EVERY = 0.5, 1.0
# The message that `transitions.lua` publishes at a job's end; any other message means that its stream has grown.
_END = "end"

_subscribers: WeakKeyDictionary[redis.asyncio.Redis, "_Subscriber"] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True, eq=False)
class Subscription:
    """A subscription to one job: `ready` is set when no message is missed any more, `changed` when the job may have."""

    only_end: bool
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Make the subscriber read the job: messages may have been missed, or the store may be down."""
        self.ready.set()
        self.changed.set()


@contextmanager
def subscribed(client: redis.asyncio.Redis, job_id: str, *, only_end: bool = False) -> Iterator[Subscription]:
    """Subscribe to a job for the duration of the `with` block."""
    subscriber = _subscribers.setdefault(client, _Subscriber(client))
    with subscriber.subscribed(keys.channel(job_id), only_end) as subscription:
        yield subscription


class _Subscriber:
    """Subscribes to the channels of all subscriptions for as long as there are any.

    Its task ends by itself and is never cancelled: redis-py can lose a cancellation while it connects.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._confirmed: set[str] = set()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._read_at = 0.0

    @contextmanager
    def subscribed(self, channel: str, only_end: bool) -> Iterator[Subscription]:
        # A task that has not read for so long was frozen with its Lambda; its connection may be dead.
        if self._task is None or self._task.done() or time.monotonic() - self._read_at > 3 * _CHECK_EVERY:
            self._read_at = time.monotonic()
            self._confirmed = set()
            self._task = asyncio.create_task(self._run(self._confirmed))
        subscription = Subscription(only_end)
        self._subscriptions.setdefault(channel, set()).add(subscription)
        if channel in self._confirmed:
            subscription.ready.set()
        self._changed.set()
        try:
            yield subscription
        finally:
            self._subscriptions[channel].discard(subscription)
            if not self._subscriptions[channel]:
                del self._subscriptions[channel]
                self._changed.set()

    async def _run(self, confirmed: set[str]) -> None:
        while self._subscriptions and confirmed is self._confirmed:
            try:
                async with Channels(self._client) as channels:
                    await self._follow(channels, confirmed)
            except (RedisError, OSError):
                # The subscribers read their jobs, and get the error of the store.
                confirmed.clear()
                for subscription in self._all():
                    subscription.wake()
                await asyncio.sleep(_RECONNECT)

    async def _follow(self, channels: Channels, confirmed: set[str]) -> None:
        """Keep the channels equal to the subscriptions and pass messages on, until there are no subscriptions."""
        subscribed: set[str] = set()
        reading: asyncio.Task[Any] | None = None
        # A moment longer than the last subscription, for the next one.
        while (self._subscriptions or reading) and confirmed is self._confirmed:
            self._changed.clear()
            wanted = set(self._subscriptions)
            if new := wanted - subscribed:
                # Revocations first, so that a ready subscription misses none.
                await channels.subscribe(*(() if subscribed else (keys.REVOCATIONS,)), *new)
            if old := subscribed - wanted:
                confirmed -= old
                await channels.unsubscribe(*old)
            subscribed = wanted
            # Never cancelled, which could lose half of a message.
            reading = reading or asyncio.create_task(channels.receive(_CHECK_EVERY))
            changed = asyncio.create_task(self._changed.wait())
            await asyncio.wait({reading, changed}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            if reading.done():
                self._read_at = time.monotonic()
                self._pass_on(reading.result(), confirmed)
                reading = None
        if reading is not None:
            await asyncio.wait({reading})
            reading.exception()  # retrieved, so that asyncio does not log it

    def _all(self) -> list[Subscription]:
        return [one for subscriptions in self._subscriptions.values() for one in subscriptions]

    def _pass_on(self, message: dict[str, Any] | None, confirmed: set[str]) -> None:
        match message:
            case {"type": "subscribe", "channel": channel}:
                confirmed.add(channel)
                for subscription in self._subscriptions.get(channel, ()):
                    subscription.wake()
            case {"type": "message", "channel": keys.REVOCATIONS}:
                # Reading a job again shows whether its caller is revoked.
                for subscription in self._all():
                    subscription.changed.set()
            case {"type": "message", "channel": channel, "data": data}:
                for subscription in self._subscriptions.get(channel, ()):
                    if data == _END or not subscription.only_end:
                        subscription.changed.set()
            case _:
                pass
