"""The parts of redis-py's private interface that the store uses. No other module uses them.

`tests/contract/test_redis_py.py` fails when a release of redis-py changes one of these.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import redis.asyncio
import redis.asyncio.connection
import redis.connection
from redis.asyncio.client import Pipeline
from redis.client import NEVER_DECODE
from redis.connection import HiredisRespSerializer
from redis.maint_notifications import MaintNotificationsConfig

# Only Redis Enterprise supports them; to request them costs one round trip more for each connection.
NO_NOTIFICATIONS = MaintNotificationsConfig(enabled=False)
# An option of one command: its reply stays bytes.
AS_BYTES = {NEVER_DECODE: True}

AsyncParser: Any = redis.asyncio.connection.DefaultParser
SyncParser: Any = redis.connection.DefaultParser


class _PackedInC:
    """Packs commands with hiredis, as blocking connections do; asynchronous ones pack in Python, which takes 20 µs."""

    _serializer = HiredisRespSerializer()

    def pack_command(self, *args: Any) -> list[bytes]:
        packed: list[bytes] = self._serializer.pack(*args)
        return packed


def pack_in_c(pool: redis.asyncio.ConnectionPool) -> None:
    """Make the connections of a pool pack their commands in C."""
    pool.connection_class = type("PackedInC", (_PackedInC, pool.connection_class), {})


class CountingPipeline(Pipeline):
    """A pipeline without a transaction that counts the replies it has read."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, False, None)
        self.replies = 0

    async def parse_response(self, *args: Any, **options: Any) -> Any:
        """Read one reply."""
        try:
            return await super().parse_response(*args, **options)
        finally:
            self.replies += 1


def own_connection(client: redis.asyncio.Redis, **options: Any) -> redis.asyncio.Redis:
    """Return a client of its own to the same server; `options` override those of the first client's connections."""
    pool = client.connection_pool
    # The pool removes the notifications' configuration from what it passes on.
    merged = {**pool.connection_kwargs, "maint_notifications_config": NO_NOTIFICATIONS, **options}
    own = redis.asyncio.ConnectionPool(connection_class=pool.connection_class, **merged)
    return redis.asyncio.Redis.from_pool(own)


def async_closer(connection: Any) -> Callable[[], None]:
    """Return a function that closes an asynchronous connection, for any thread."""
    loop, writer = asyncio.get_running_loop(), connection._writer  # noqa: SLF001 -- as redis-py's parsers do

    def close() -> None:
        with suppress(RuntimeError):  # the loop has ended, and its connections with it
            loop.call_soon_threadsafe(writer.close)

    return close


def sync_closer(connection: Any) -> Callable[[], None]:
    """Return a function that closes a blocking connection, for any thread."""
    sock: socket.socket = connection._sock  # noqa: SLF001 -- as redis-py's parsers do

    def close() -> None:
        with suppress(OSError):
            # Wakes a thread that blocks in reading; that thread closes the file descriptor.
            sock.shutdown(socket.SHUT_RDWR)

    return close
