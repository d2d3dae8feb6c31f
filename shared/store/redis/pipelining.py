"""Pipelining: commands of concurrent requests share a connection, and follow each other without waiting.

A command by itself costs redis-py more time than Redis. Each client has one connection for this that reads without a
time limit, since a timer for each reply takes longer than reading it. One timer checks that replies keep coming. Large
values do not belong here: all replies behind them would wait for them.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.store import keys
from shared.store.redis import internals
from shared.store.redis.ordered_replies import Command, OrderedReplies

# Seconds between two writes that change nothing, sent with other commands: a process that only reads notices in this
# way that its server is no longer the primary.
_WRITE_EVERY = 2.0
_WRITE: Command = ("DEL", keys.NOTHING)

_senders: WeakKeyDictionary[redis.asyncio.Redis, "_Sender"] = WeakKeyDictionary()


async def send(client: redis.asyncio.Redis, *commands: Command) -> list[Any]:
    """Return a reply for each command, an exception for one that Redis refuses; raise when Redis does not answer.

    The commands are sent in order, are no transaction, and may be sent twice. The reply to GETRANGE is bytes, since it
    may end within a character. Cancelling one caller does not affect the others.
    """
    sender = _senders.get(client)
    if sender is None:
        sender = _senders[client] = _Sender(client)
    return await sender.send(commands)


async def get(client: redis.asyncio.Redis, *commands: Command) -> list[Any]:
    """Return a reply for each command, as `send` does; raise the first error."""
    replies = await send(client, *commands)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


async def close(client: redis.asyncio.Redis) -> None:
    """Close the connection that pipelines the commands of a client."""
    sender = _senders.pop(client, None)
    if sender is not None:
        await sender.close()


class _Sender:
    """Sends requests on one connection, which it opens when it is needed."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        # The client itself is not kept: an entry that holds its key would keep both for ever.
        self._pool, self._callbacks = client.connection_pool, client.response_callbacks
        self._reply_timeout: float = self._pool.connection_kwargs["socket_timeout"]
        self._connection: OrderedReplies | None = None
        self._opening: asyncio.Task[OrderedReplies] | None = None
        self._write_at = 0.0
        self._is_closed = False

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        try:
            return await self._send(commands)
        except (RedisConnectionError, RedisTimeoutError):
            # The server closed an idle connection, is no longer the primary, or a reply was lost: send once more, on a
            # new connection.
            return await self._send(commands)

    async def _send(self, commands: Sequence[Command]) -> list[Any]:
        connection = self._connection
        if connection is None or not connection.is_open:
            connection = await self._open()
        answer = connection.send(commands)
        now = time.monotonic()
        if now >= self._write_at:
            self._write_at = now + _WRITE_EVERY
            connection.send([_WRITE]).add_done_callback(_ignore)
        return await answer

    async def _open(self) -> OrderedReplies:
        """Open a connection, one for all requests that come meanwhile."""
        if self._is_closed:
            raise RedisConnectionError("The process ends")
        if self._opening is None:
            self._opening = asyncio.create_task(self._opened())
        # Cancelling one caller does not affect the others.
        return await asyncio.shield(self._opening)

    async def _opened(self) -> OrderedReplies:
        try:
            async with asyncio.timeout(self._reply_timeout):
                connection = await internals.own_connection(self._pool)
            self._connection = OrderedReplies(connection, self._callbacks, self._reply_timeout)
        except TimeoutError:
            raise RedisTimeoutError("Redis does not answer") from None
        finally:
            self._opening = None
        return self._connection

    async def close(self) -> None:
        self._is_closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        if self._connection is not None:
            await self._connection.close()


def _ignore(answer: asyncio.Future[list[Any]]) -> None:
    """Take note of an error that no request waits for."""
    if not answer.cancelled():
        answer.exception()
