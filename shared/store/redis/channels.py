"""Channels: messages of the primary.

A connection that only listens never learns that its server is no longer the primary, or that its host is gone. So each
one listens to a channel of its own too, on which another connection publishes.
"""

import time
from secrets import token_hex
from typing import Any, Self

import redis.asyncio
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.store import keys
from shared.store.redis.pipelining import send

# Seconds between two messages on the channel of its own, each of which has as long to arrive.
_ECHO_EVERY = 2.0


class Channels:
    """The channels that one connection subscribes to, within an `async with` block."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._pubsub: PubSub = client.pubsub()
        self._echo = keys.ECHO + token_hex(8)
        self._echo_at = time.monotonic() + _ECHO_EVERY
        self._has_echoed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]

    async def subscribe(self, *channels: str) -> None:
        """Subscribe to more channels; each is confirmed by a message of type `subscribe`."""
        await self._pubsub.subscribe(*(() if self._pubsub.subscribed else (self._echo,)), *channels)

    async def unsubscribe(self, *channels: str) -> None:
        """Subscribe to some channels no more."""
        await self._pubsub.unsubscribe(*channels)

    async def receive(self, within: float = _ECHO_EVERY) -> dict[str, Any] | None:
        """Return a message of redis-py, or None after at most `within` seconds.

        ConnectionError when the messages of the primary do not arrive here. Half of a message may be lost when it is
        cancelled.
        """
        if time.monotonic() >= self._echo_at:
            if not self._has_echoed:
                raise RedisConnectionError("The messages of the primary do not arrive")
            self._has_echoed, self._echo_at = False, time.monotonic() + _ECHO_EVERY
            await send(self._client, ("PUBLISH", self._echo, ""))
        message: dict[str, Any] | None = await self._pubsub.get_message(timeout=within)
        if message is None or message["channel"] != self._echo:
            return message
        self._has_echoed = self._has_echoed or message["type"] == "message"
        return None
