"""Look-ups of host names, each in a thread of its own; one owner's never take all the threads.

A name server that does not answer holds a thread for half a minute, also when nobody waits for the name any more.
"""

import asyncio
import socket
import threading
from collections import Counter
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

# Look-ups at once, in each event loop.
THREADS = 128

Found = list[tuple[Any, ...]]
_look_ups: WeakKeyDictionary[asyncio.AbstractEventLoop, "_LookUps"] = WeakKeyDictionary()


async def look_up(host: str, port: int, owner: str) -> Found:
    """Return what `getaddrinfo` finds for streams; raises what it raises.

    An owner starts another look-up only while it has fewer under way than there are threads free, and waits otherwise.
    So one takes half of them at most, two a third each, and another owner's first look-up starts at once.
    """
    loop = asyncio.get_running_loop()
    return await _look_ups.setdefault(loop, _LookUps()).look_up(loop, host, port, owner)


class _LookUps:
    def __init__(self) -> None:
        self._of: Counter[str] = Counter()
        self._changed = asyncio.Event()

    async def look_up(self, loop: asyncio.AbstractEventLoop, host: str, port: int, owner: str) -> Found:
        while self._of[owner] >= THREADS - self._of.total():
            await self._changed.wait()
        self._of[owner] += 1
        answer: asyncio.Future[Found] = loop.create_future()
        # Not one of an executor, for whose threads a process waits before it ends.
        threading.Thread(target=self._ask, args=(loop, answer, host, port, owner), daemon=True).start()
        return await answer

    def _ask(
        self, loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[Found]", host: str, port: int, owner: str
    ) -> None:
        found: Found | Exception
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except Exception as error:  # noqa: BLE001 -- raised to whoever asked
            found = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self._answered, answer, found, owner)

    def _answered(self, answer: "asyncio.Future[Found]", found: Found | Exception, owner: str) -> None:
        self._of[owner] -= 1
        if not self._of[owner]:
            del self._of[owner]
        self._changed.set()
        self._changed = asyncio.Event()
        if answer.done():
            return
        if isinstance(found, Exception):
            answer.set_exception(found)
        else:
            answer.set_result(found)
