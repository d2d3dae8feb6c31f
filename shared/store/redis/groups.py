"""Calls of one script in one turn of the loop are sent as one call.

Redis makes the definitions of a script, its reply and its entry in the log once for all of them: a fifth of what a
submission costs. Such a script is repeated for each call's arguments (`scripts.source`), and returns a list.
"""

import asyncio
from collections import defaultdict
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import redis.asyncio
from redis.exceptions import NoScriptError

from shared.store.redis.pipelining import send

# Redis begins with these while this process goes on with other requests.
_MOST = 4


class Script(NamedTuple):
    """The text of a script, and the digest by which Redis knows it."""

    text: str
    digest: str


class _Call(NamedTuple):
    values: list[Any]
    reply: asyncio.Future[Any]


_waiting: WeakKeyDictionary[redis.asyncio.Redis, dict[str, list[_Call]]] = WeakKeyDictionary()
_sending = set[asyncio.Task[None]]()


async def run(client: redis.asyncio.Redis, script: Script, values: list[Any]) -> Any:
    """Run a repeated script for these values, together with others that run it in this turn; return its reply.

    Cancelling one caller does not affect the others.
    """
    loop = asyncio.get_running_loop()
    call = _Call(values, loop.create_future())
    of_client = _waiting.get(client)
    if of_client is None:
        of_client = _waiting[client] = defaultdict(list)
    waiting = of_client[script.digest]
    waiting.append(call)
    if len(waiting) == _MOST:
        _send(client, script, waiting)
    elif len(waiting) == 1:
        loop.call_soon(_send, client, script, waiting)
    return await call.reply


async def evaluate(client: redis.asyncio.Redis, script: Script, values: list[Any], *, at_once: bool = False) -> Any:
    """Return the reply of a script; its first use on a server costs one round trip more."""
    [reply] = await send(client, ("EVALSHA", script.digest, 0, *values), at_once=at_once)
    if isinstance(reply, NoScriptError):
        [reply] = await send(client, ("EVAL", script.text, 0, *values))
    if isinstance(reply, Exception):
        raise reply
    return reply


def _send(client: redis.asyncio.Redis, script: Script, waiting: list[_Call]) -> None:
    if waiting:
        calls, waiting[:] = waiting[:], []
        task = asyncio.create_task(_answer(client, script, calls))
        _sending.add(task)
        task.add_done_callback(_sending.discard)


async def _answer(client: redis.asyncio.Redis, script: Script, calls: list[_Call]) -> None:
    try:
        replies = await evaluate(client, script, [value for call in calls for value in call.values], at_once=True)
    except Exception as error:  # noqa: BLE001 -- each caller raises it
        replies = [error] * len(calls)
    for call, reply in zip(calls, replies, strict=True):
        if call.reply.done():  # cancelled
            continue
        if isinstance(reply, Exception):
            call.reply.set_exception(reply)
        else:
            call.reply.set_result(reply)
