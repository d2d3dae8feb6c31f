"""Whether the JSON Schemas of a request can be used, at a cost that is bounded for everybody else.

An ordinary schema is checked in a thread, at once. Any other is checked by a process that is ended after 2 s. There are
two of them, and a caller has one at a time, so that one caller's slow schemas never delay another's.
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
# Up to these a check takes 0.1 s at the very most: bytes of JSON in ASCII, and objects and arrays in it.
_ORDINARY_BYTES, _ORDINARY_PARTS = 4096, 256
_REMEMBERED = 1000

_known: OrderedDict[str, Problem | None] = OrderedDict()
_idle: list[Checker] = []
_lock = threading.Lock()


class _Turns:
    """Who may use a process now, in one event loop."""

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(PROCESSES)
        self.of_caller: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()


def is_ordinary(text: str) -> bool:
    """Say whether a schema, as JSON in ASCII, is checked in no time whatever stands in it."""
    return len(text) <= _ORDINARY_BYTES and text.count("{") + text.count("[") <= _ORDINARY_PARTS


async def problem_of(schema: dict[str, Any], *, caller: str, until: float) -> Problem | None:
    """Return what is wrong with a schema, None for nothing. `until` is a moment of the loop.

    Raises Unavailable when no process was free until then.
    """
    text = json.dumps(schema, separators=(",", ":"))
    if len(text) > MAX_BYTES:
        return too_long()
    # One program asks with the same schema again and again, and in each query of a batch.
    key = digests.of_text(text)
    if key in _known:
        _known.move_to_end(key)
        return _known[key]
    if asyncio.get_running_loop().time() > until:
        return Problem(
            "is one of too many: the schemas of one request take too long to check; send fewer or simpler ones"
        )
    if is_ordinary(text):
        found = await asyncio.to_thread(problem_in, text)
    else:
        found = await _in_a_process(text, caller, until)
    if found is None or not found.may_pass:
        _known[key] = found
        if len(_known) > _REMEMBERED:
            _known.popitem(last=False)
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
            "Too many large schemas are being checked; try again", headers={"Retry-After": f"{WITHIN:g}"}
        ) from None
    except BaseException:
        _release(held)
        raise
    checking = loop.run_in_executor(None, _check, text)
    # Also when the client has gone: the process is busy until it has answered.
    checking.add_done_callback(lambda done: _release(held, done))
    try:
        return await asyncio.shield(checking)
    except OSError:
        raise Unavailable("No process to check the schema in could be started; try again") from None


def _release(held: list[asyncio.Lock | asyncio.Semaphore], done: asyncio.Future[Any] | None = None) -> None:
    for one in held:
        one.release()
    if done is not None and not done.cancelled():
        done.exception()  # seen, also when nobody waits any more


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
    """End the processes."""
    with _lock:
        while _idle:
            _idle.pop().close()


atexit.register(close)
