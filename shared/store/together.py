"""Commands of concurrent requests, sent together: as many as come while the last ones are under way, in one round trip.

A command by itself costs redis-py more time than Redis; together most of that is paid once. One that comes alone is
sent at once, so nobody waits for company.

Each client has a connection for this that reads without a limit, since redis-py sets a timer for each reply, which
takes longer than to read it; here a whole batch has the client's limit.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import redis.asyncio
from redis.exceptions import TimeoutError as RedisTimeoutError

Command = tuple[Any, ...]
# Replies come when all of a batch are done; a longer one would keep the first waiting.
_MOST = 128

_senders: WeakKeyDictionary[redis.asyncio.Redis, "_Sender"] = WeakKeyDictionary()


async def ask(client: redis.asyncio.Redis, *commands: Command) -> list[Any]:
    """Return a reply for each command, an exception for one that Redis refused; raises when Redis does not answer.

    The commands are sent in order, are no transaction, and may be sent twice. Who is cancelled takes nobody along.
    """
    sender = _senders.get(client)
    if sender is None:
        sender = _senders[client] = _Sender(client)
    return await sender.ask(commands)


async def get(client: redis.asyncio.Redis, *commands: Command) -> list[Any]:
    """Return a reply for each command, as `ask` does; raises what Redis refused."""
    replies = await ask(client, *commands)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


async def close(client: redis.asyncio.Redis) -> None:
    """Close what was opened for a client."""
    sender = _senders.pop(client, None)
    if sender is not None:
        await sender.close()


class _Sender:
    """Sends what is asked for, one batch at a time; its task ends when nothing is asked."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        # Not the client itself, either: an entry that held its key would keep both for ever.
        pool = client.connection_pool
        options = {**pool.connection_kwargs, "socket_timeout": None}
        self._seconds = pool.connection_kwargs.get("socket_timeout")
        own = redis.asyncio.ConnectionPool(connection_class=pool.connection_class, **options)
        self._client = redis.asyncio.Redis.from_pool(own)
        self._asked: list[tuple[Sequence[Command], asyncio.Future[list[Any]]]] = []
        self._busy = False
        self._sending: asyncio.Task[None] | None = None

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Any]] = loop.create_future()
        self._asked.append((commands, answer))
        if not self._busy:
            self._busy = True
            self._sending = loop.create_task(self._send())
        return await answer

    async def _send(self) -> None:
        while self._asked:
            batch, self._asked = self._asked[:_MOST], self._asked[_MOST:]
            try:
                replies = await self._replies(batch)
            except Exception as error:  # noqa: BLE001 -- told to everybody who asked
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
            else:
                place = 0
                for commands, answer in batch:
                    if not answer.done():
                        answer.set_result(replies[place : place + len(commands)])
                    place += len(commands)
        # Here and not when the task has ended: what is asked between would be sent by nobody.
        self._busy = False

    async def close(self) -> None:
        await self._client.aclose()

    async def _replies(self, batch: Sequence[tuple[Sequence[Command], Any]]) -> list[Any]:
        # What was lost on the way is asked for once more, as the client does by itself when a connection was lost.
        for _ in range(2):
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    return await self._sent(batch)
        raise RedisTimeoutError("Redis did not answer in time")

    async def _sent(self, batch: Sequence[tuple[Sequence[Command], Any]]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipe:
            for commands, _ in batch:
                for command in commands:
                    pipe.execute_command(*command)
            return await pipe.execute(raise_on_error=False)
