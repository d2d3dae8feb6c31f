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
from redis._parsers import hiredis as hiredis_parsers
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.maint_notifications import MaintNotificationsConfig

# What the parser's reader returns when a reply has not come in full.
NOT_ENOUGH_DATA: Any = hiredis_parsers.NOT_ENOUGH_DATA
# Only Redis Enterprise supports them; to request them costs one round trip more for each connection.
NO_NOTIFICATIONS = MaintNotificationsConfig(enabled=False)

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


async def own_connection(pool: redis.asyncio.ConnectionPool) -> Any:
    """Open a connection of its own to the server of a pool, which reads without a time limit."""
    # The pool removes the notifications' configuration from what it passes on.
    options = {**pool.connection_kwargs, "maint_notifications_config": NO_NOTIFICATIONS, "socket_timeout": None}
    connection: Any = pool.connection_class(**{**options, "retry": Retry(NoBackoff(), 0)})
    try:
        await connection.connect()
    except BaseException:
        forget(connection)
        raise
    return connection


def take_over(connection: Any, protocol: asyncio.Protocol) -> tuple[asyncio.Transport, Any]:
    """Let a protocol read what an open connection receives; return the transport, and the reader of its replies."""
    transport: asyncio.Transport = connection._writer.transport  # noqa: SLF001
    transport.set_protocol(protocol)
    return transport, connection._parser._reader  # noqa: SLF001


def forget(connection: Any) -> None:
    """Close a connection without waiting."""
    connection._close()  # noqa: SLF001


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
