"""One connection on which requests follow each other without waiting, and replies come in the order of the commands.

redis-py opens the connection, logs in and chooses the database; hiredis writes and reads. What redis-py does for each
command beyond that (pools, callbacks of a pipeline, a stream reader) takes longer than everything else in a submission.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import DataError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.store.redis import internals

Command = tuple[Any, ...]
# Requests that are written at once. Fewer of them wait until the end of the loop's turn, so that they share a packet;
# the server begins with these while this process goes on with other requests. Commands are not counted: a status read
# has five, and each read would be a system call of its own.
_AT_ONCE = 4
# Seconds in which a busy loop reads what has come.
_TO_READ = 0.05


class Request:
    """Commands whose replies are awaited together."""

    __slots__ = ("answer", "commands", "replies")

    def __init__(self, commands: Sequence[Command], answer: asyncio.Future[list[Any]]) -> None:
        self.commands, self.answer = commands, answer
        self.replies: list[Any] = []


class OrderedReplies(asyncio.Protocol):
    """An open connection; all requests fail when it is lost, or when no reply comes within the time limit."""

    def __init__(self, connection: Any, callbacks: Mapping[Any, Callable[..., Any]], reply_timeout: float) -> None:
        """Take over a connection that redis-py has opened."""
        self._connection, self._reply_timeout = connection, reply_timeout
        # redis-py's own dictionary takes names in any case, and longer.
        self._callbacks = dict(callbacks)
        self._sent: deque[Request] = deque()
        self._packed: list[bytes] = []
        self._unwritten = 0
        self._writes_later = False
        self._has_read = False
        self._loop = asyncio.get_running_loop()
        self._transport, self._reader = internals.take_over(connection, self)
        self._watch: asyncio.TimerHandle | None = None
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self.is_open = not self._transport.is_closing()

    def send(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Send commands; the future has a reply for each, an exception for one that Redis refuses."""
        # All are packed before any is sent, so that a value which cannot be sent leaves nothing half done.
        try:
            packed = [hiredis.pack_command(command) for command in commands]
        except TypeError as error:
            raise DataError("Redis takes text, bytes and numbers alone") from error
        answer: asyncio.Future[list[Any]] = self._loop.create_future()
        self._sent.append(Request(commands, answer))
        self._packed += packed
        self._unwritten += 1
        if self._unwritten >= _AT_ONCE:
            self._write()
        elif not self._writes_later:
            self._writes_later = True
            self._loop.call_soon(self._write)
        if self._watch is None:
            self._watch = self._loop.call_later(self._reply_timeout, self._check)
        return answer

    def _write(self) -> None:
        self._writes_later, self._unwritten = False, 0
        if self._packed and self.is_open:
            self._transport.write(b"".join(self._packed))
            self._packed.clear()

    def data_received(self, data: bytes) -> None:
        """Give the replies to the requests."""
        self._has_read = True
        self._reader.feed(data)
        gets, callbacks = self._reader.gets, self._callbacks
        try:
            while self._sent:
                request = self._sent[0]
                replies = request.replies
                for command in request.commands[len(replies) :]:
                    name = command[0]
                    # The reply to GETRANGE may end within a character.
                    reply = gets(name != "GETRANGE")
                    if reply is internals.NOT_ENOUGH_DATA:
                        return
                    if isinstance(reply, Exception):
                        if isinstance(reply, RedisConnectionError):  # no longer the primary, or not logged in
                            self.fail(reply)
                            return
                    elif (callback := callbacks.get(name)) is not None:
                        reply = callback(reply)
                    replies.append(reply)
                self._sent.popleft()
                if not request.answer.done():
                    request.answer.set_result(replies)
        except Exception as error:  # noqa: BLE001 -- nobody knows where the next reply begins
            self.fail(RedisConnectionError(f"The reply of Redis cannot be read: {type(error).__name__}"))

    def connection_lost(self, _: Exception | None) -> None:
        """Fail what was sent."""
        self.fail(RedisConnectionError("The connection to Redis was lost"))
        self._lost.set_result(None)

    def _check(self, *, is_second: bool = False) -> None:
        self._watch = None
        if not self._sent:
            return
        if self._has_read:
            self._has_read = False
            self._watch = self._loop.call_later(self._reply_timeout, self._check)
        elif is_second:
            self.fail(RedisTimeoutError("Redis does not answer"))
        else:
            # A loop that was busy for the whole time calls its timers before it reads.
            self._watch = self._loop.call_later(_TO_READ, partial(self._check, is_second=True))

    def fail(self, error: Exception) -> None:
        """Close the connection, and raise an error in every request that still waits."""
        self.is_open = False
        if self._watch is not None:
            self._watch.cancel()
        self._transport.abort()
        internals.forget(self._connection)
        failed, self._sent = self._sent, deque()
        for request in failed:
            if not request.answer.done():
                request.answer.set_exception(error)

    async def close(self) -> None:
        """Close the connection at the end of the process."""
        self.fail(RedisConnectionError("The process ends"))
        await self._lost
