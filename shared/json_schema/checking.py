"""Check the JSON Schemas of requests, with a limit on what one caller can cost all others.

An ordinary schema is checked at once in a thread. Any other schema is checked by a process with a time limit of 2 s.
There are two processes, and a caller has one at a time, so slow schemas of one caller never delay another caller.
"""

import asyncio
import atexit
import json
import threading
from collections import OrderedDict
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from shared import digests
from shared.api.errors import Unavailable
from shared.json_schema.process import WITHIN, Checker
from shared.json_schema.schema import MAX_BYTES, Problem, problem_in, too_long

PROCESSES = 2
# Up to these limits a check takes at most 0.1 s: bytes of JSON in ASCII, and objects and arrays in it.
_ORDINARY_BYTES, _ORDINARY_PARTS = 4096, 256
_CACHE_SIZE = 1000

_cache: OrderedDict[str, Problem | None] = OrderedDict()
_idle: list[Checker] = []
_lock = threading.Lock()


class _Turns:
    """The locks for the processes, in one event loop."""

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(PROCESSES)
        self.of_caller: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()


def is_ordinary(text: str) -> bool:
    """Return whether the check of a schema, given as JSON in ASCII, is fast whatever its content."""
    return len(text) <= _ORDINARY_BYTES and text.count("{") + text.count("[") <= _ORDINARY_PARTS


async def problem_of(schema: dict[str, Any], *, caller: str, until: float) -> Problem | None:
    """Return the problem of a schema, or None. `until` is a deadline in the event loop's time.

    Raises Unavailable if no process was free by then.
    """
    text = json.dumps(schema, separators=(",", ":"))
    if len(text) > MAX_BYTES:
        return too_long()
    # Programs send the same schema repeatedly, and in each query of a batch.
    key = digests.of_text(text)
    if key in _cache:
        _cache.move_to_end(key)
        return _cache[key]
    if asyncio.get_running_loop().time() > until:
        return Problem(
            "was not checked: the schemas of this request take too long to check; send fewer or simpler ones"
        )
    if is_ordinary(text):
        found = await asyncio.to_thread(problem_in, text)
    else:
        found = await _in_a_process(text, caller, until)
    if found is None or not found.may_pass:
        _cache[key] = found
        if len(_cache) > _CACHE_SIZE:
            _cache.popitem(last=False)
    return found


async def _in_a_process(text: str, caller: str, until: float) -> Problem | None:
    loop = asyncio.get_running_loop()
    turns = _turns.setdefault(loop, _Turns())
    turn = turns.of_caller.setdefault(caller, asyncio.Lock())
    held: list[asyncio.Lock | asyncio.Semaphore] = []
    try:
        async with asyncio.timeout_at(until):
            for one in (turn, turns.free):
                await one.acquire()
                held.append(one)
    except TimeoutError:
        _release(held)
        raise Unavailable(
            "Too many large schemas are being checked; try again later", headers={"Retry-After": f"{WITHIN:g}"}
        ) from None
    except BaseException:
        _release(held)
        raise
    checking = loop.run_in_executor(None, _check, text)
    # Release when the process has answered, even if the client has disconnected.
    checking.add_done_callback(lambda done: _release(held, done))
    try:
        return await asyncio.shield(checking)
    except OSError:
        raise Unavailable("The process that checks schemas could not be started; try again later") from None


def _release(held: list[asyncio.Lock | asyncio.Semaphore], done: asyncio.Future[Any] | None = None) -> None:
    for one in held:
        one.release()
    if done is not None and not done.cancelled():
        done.exception()  # mark as retrieved, in case the client has disconnected


def _check(text: str) -> Problem | None:
    with _lock:
        checker = _idle.pop() if _idle else None
    if checker is not None and not checker.alive:
        checker.close()
        checker = None
    checker = checker or Checker()
    try:
        return checker.check(text)
    finally:
        if checker.alive:
            with _lock:
                _idle.append(checker)


def close() -> None:
    """Stop the processes."""
    with _lock:
        while _idle:
            _idle.pop().close()


atexit.register(close)
