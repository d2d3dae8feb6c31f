"""Commands of concurrent requests, sent together: as many as come while the last ones are under way, in one round trip.

A command by itself costs redis-py more time than Redis; together most of that is paid once. One that comes alone is
sent at once, so nobody waits for company.

Each client has a connection for this that reads without a limit, since redis-py sets a timer for each reply, which
takes longer than to read it. Here one timer sees whether replies keep coming. What is large has no place here: all
that were asked with it, or after it, would wait.
"""

import asyncio
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import redis.asyncio
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.client import NEVER_DECODE
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.maint_notifications import MaintNotificationsConfig

from shared.store import keys

# Only Redis Enterprise knows them; asking for them is one round trip more for each connection.
NO_NOTIFICATIONS = MaintNotificationsConfig(enabled=False)
Command = tuple[Any, ...]
_Asked = tuple[Sequence[Command], asyncio.Future[list[Any]]]
# Replies come when all of a batch are done; a longer one would keep the first waiting.
_MOST = 128
# Of what waits one half is sent, and no fewer than so many: when all of it travels at once, the process has nothing to
# do until it comes back, and the store nothing until all was answered.
_FEWEST = 8
# A write that changes nothing goes with a batch this often, in the same round trip: a process that only reads learns
# so that its connections lead to a server which is not the primary any more; seconds.
_WRITE_EVERY = 2.0
_WRITE: Command = ("DEL", keys.NOTHING)

_senders: WeakKeyDictionary[redis.asyncio.Redis, "_Sender"] = WeakKeyDictionary()


async def ask(client: redis.asyncio.Redis, *commands: Command) -> list[Any]:
    """Return a reply for each command, an exception for one that Redis refused; raises when Redis does not answer.

    The commands are sent in order, are no transaction, and may be sent twice. GETRANGE is answered with bytes, since it
    may end within a character. Who is cancelled takes nobody along.
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
        options = {**pool.connection_kwargs, "socket_timeout": None, "retry": Retry(NoBackoff(), 0)}
        options["maint_notifications_config"] = NO_NOTIFICATIONS  # which the pool keeps to itself
        self._seconds = pool.connection_kwargs.get("socket_timeout")
        own = redis.asyncio.ConnectionPool(connection_class=pool.connection_class, **options)
        self._client = redis.asyncio.Redis.from_pool(own)
        self._asked: list[_Asked] = []
        self._busy = False
        self._write_at = 0.0
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
            most = min(max(len(self._asked) // 2, _FEWEST), _MOST)
            batch, self._asked = self._asked[:most], self._asked[most:]
            try:
                replies = await self._replies([command for commands, _ in batch for command in commands])
            except asyncio.CancelledError:
                _fail([*batch, *self._asked], RedisConnectionError("The process ends"))
                raise
            except Exception as error:  # noqa: BLE001 -- told to everybody who asked
                _fail(batch, error)
            else:
                place = 0
                for commands, answer in batch:
                    if not answer.done():
                        answer.set_result(replies[place : place + len(commands)])
                    place += len(commands)
        # Here and not when the task has ended: what is asked between would be sent by nobody.
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
            # Its reply comes last, where nobody looks.
            return await self._sent([*commands, _WRITE] if writes else commands)
        except (RedisConnectionError, RedisTimeoutError):
            # The server closed an idle connection, is not the primary any more, or a reply was lost: send once more, on
            # a new connection.
            return await self._sent(commands)

    async def _sent(self, commands: Sequence[Command]) -> list[Any]:
        async with _Pipe(self._client.connection_pool, self._client.response_callbacks, False, None) as pipe:
            for command in commands:
                pipe.execute_command(*command, **({NEVER_DECODE: True} if command[0] == "GETRANGE" else {}))
            executing = asyncio.create_task(pipe.execute(raise_on_error=False))
            seen = -1
            try:
                while pipe.read > seen:
                    seen = pipe.read
                    await asyncio.wait({executing}, timeout=self._seconds)
                    if executing.done():
                        return executing.result()
            finally:
                executing.cancel()
                await asyncio.wait({executing})
        raise RedisTimeoutError("Redis does not answer")


def _fail(asked: Sequence[_Asked], error: Exception) -> None:
    for _, answer in asked:
        if not answer.done():
            answer.set_exception(error)


class _Pipe(Pipeline):
    """Commands that are sent together, and how many of them have been answered."""

    read = 0

    async def parse_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().parse_response(*args, **options)
        finally:
            self.read += 1
