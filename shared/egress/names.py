"""Resolve host names, each in its own thread; the lookups of one owner never take all threads.

A name server that does not answer blocks a thread for half a minute, even after the caller has stopped waiting.
"""

import asyncio
import socket
import threading
from collections import Counter
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

# Concurrent lookups in each event loop.
THREADS = 128

Found = list[tuple[Any, ...]]
_lookups: WeakKeyDictionary[asyncio.AbstractEventLoop, "_Lookups"] = WeakKeyDictionary()


async def look_up(host: str, port: int, owner: str) -> Found:
    """Return the result of `getaddrinfo` for streams; raises its errors.

    An owner starts another lookup only while it has fewer running lookups than there are free threads. So one owner
    takes at most half of the threads, two a third each, and the first lookup of another owner starts at once.
    """
    loop = asyncio.get_running_loop()
    return await _lookups.setdefault(loop, _Lookups()).look_up(loop, host, port, owner)


class _Lookups:
    def __init__(self) -> None:
        self._running: Counter[str] = Counter()
        self._changed = asyncio.Event()

    async def look_up(self, loop: asyncio.AbstractEventLoop, host: str, port: int, owner: str) -> Found:
        while self._running[owner] >= THREADS - self._running.total():
            await self._changed.wait()
        self._running[owner] += 1
        answer: asyncio.Future[Found] = loop.create_future()
        # Not an executor, because a process waits for its threads before it exits.
        threading.Thread(target=self._ask, args=(loop, answer, host, port, owner), daemon=True).start()
        return await answer

    def _ask(
        self, loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[Found]", host: str, port: int, owner: str
    ) -> None:
        found: Found | Exception
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except Exception as error:  # noqa: BLE001 -- raised in the waiting task
            found = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self._answered, answer, found, owner)

    def _answered(self, answer: "asyncio.Future[Found]", found: Found | Exception, owner: str) -> None:
        self._running[owner] -= 1
        if not self._running[owner]:
            del self._running[owner]
        self._changed.set()
        self._changed = asyncio.Event()
        if answer.done():
            return
        if isinstance(found, Exception):
            answer.set_exception(found)
        else:
            answer.set_result(found)
