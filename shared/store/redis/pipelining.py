"""Pipelining: commands of concurrent requests share a round trip.

A command by itself costs redis-py more time than Redis; in a pipeline most of that is paid once. While a batch is under
way, new commands are collected for the next. A command that comes alone is sent at once.

Each client has one connection for this that reads without a time limit, since a timer for each reply takes longer than
reading it. One timer checks that replies keep coming. Large values do not belong here: all replies of the batch would
wait for them.
"""

import asyncio
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.store import keys
from shared.store.redis import internals

Command = tuple[Any, ...]
_Request = tuple[Sequence[Command], asyncio.Future[list[Any]]]
# Requests in a batch at most: replies are passed on when the whole batch has been read.
_MOST = 128
# Half of what waits is sent, and no fewer requests than this: if all of it were sent, this process would have nothing
# to do until the replies come, and the store nothing until all requests are answered.
_FEWEST = 8
# Seconds between two writes that change nothing, sent with a batch: a process that only reads notices in this way that
# its server is no longer the primary.
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
    """Sends requests, one batch at a time; its task ends when no request waits."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        # The client itself is not kept: an entry that holds its key would keep both for ever.
        self._reply_timeout = client.connection_pool.connection_kwargs.get("socket_timeout")
        self._client = internals.own_connection(client, socket_timeout=None, retry=Retry(NoBackoff(), 0))
        self._waiting: list[_Request] = []
        self._busy = False
        self._write_at = 0.0
        self._sending: asyncio.Task[None] | None = None

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Any]] = loop.create_future()
        self._waiting.append((commands, answer))
        if not self._busy:
            self._busy = True
            self._sending = loop.create_task(self._send_all())
        return await answer

    async def _send_all(self) -> None:
        while self._waiting:
            most = min(max(len(self._waiting) // 2, _FEWEST), _MOST)
            batch, self._waiting = self._waiting[:most], self._waiting[most:]
            try:
                replies = await self._replies([command for commands, _ in batch for command in commands])
            except asyncio.CancelledError:
                _fail([*batch, *self._waiting], RedisConnectionError("The process ends"))
                raise
            except Exception as error:  # noqa: BLE001 -- raised in every request of the batch
                _fail(batch, error)
            else:
                place = 0
                for commands, answer in batch:
                    if not answer.done():
                        answer.set_result(replies[place : place + len(commands)])
                    place += len(commands)
        # Set here and not when the task has ended: a request that comes in between would be sent by no task.
        self._busy = False

    async def close(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait({self._sending})
        await self._client.aclose()

    async def _replies(self, commands: Sequence[Command]) -> list[Any]:
        now = asyncio.get_running_loop().time()
        writes = now >= self._write_at
        if writes:
            self._write_at = now + _WRITE_EVERY
        try:
            # The reply to the write comes last, and belongs to no request.
            return await self._execute([*commands, _WRITE] if writes else commands)
        except (RedisConnectionError, RedisTimeoutError):
            # The server closed an idle connection, is no longer the primary, or a reply was lost: send once more, on a
            # new connection.
            return await self._execute(commands)

    async def _execute(self, commands: Sequence[Command]) -> list[Any]:
        async with internals.CountingPipeline(self._client) as pipe:
            for command in commands:
                pipe.execute_command(*command, **(internals.AS_BYTES if command[0] == "GETRANGE" else {}))
            executing = asyncio.create_task(pipe.execute(raise_on_error=False))
            read = -1
            try:
                while pipe.replies > read:
                    read = pipe.replies
                    await asyncio.wait({executing}, timeout=self._reply_timeout)
                    if executing.done():
                        return executing.result()
            finally:
                executing.cancel()
                await asyncio.wait({executing})
        raise RedisTimeoutError("Redis does not answer")


def _fail(requests: Sequence[_Request], error: Exception) -> None:
    for _, answer in requests:
        if not answer.done():
            answer.set_exception(error)
