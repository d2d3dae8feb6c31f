"""Requests to count tokens: a process of the API asks, and the relay of any slot answers.

The requests wait in a list, and a message wakes the slots. A reply is kept for a moment, and announced on the channel
of its request.
"""

import asyncio
import json
import time
from typing import Any, NamedTuple

import redis.asyncio

from shared.store import keys
from shared.store.jobs.endings import within
from shared.store.redis.pubsub import subscribed

# Requests that wait at most.
MOST_WAITING = 100
# Seconds that a reply is kept, and that the list outlives its last request.
_KEPT = 30


class CountRequest(NamedTuple):
    """A request to count tokens; `body` is that of the Messages API, `deadline` in s of the wall clock."""

    request_id: str
    body: str
    deadline: float


async def ask(client: redis.asyncio.Redis, request_id: str, body: str, seconds: float) -> dict[str, Any] | None:
    """Return the reply of a slot, or None when none comes in time; raises CountsFullError."""
    deadline = time.monotonic() + seconds
    entry = json.dumps(CountRequest(request_id, body, time.time() + seconds))
    with subscribed(client, request_id) as subscription:
        await within(deadline, subscription.ready)
        async with client.pipeline(transaction=True) as pipe:
            pipe.rpush(keys.COUNTS, entry)
            pipe.expire(keys.COUNTS, _KEPT)
            pipe.publish(keys.COUNTING, "")
            waiting = (await pipe.execute())[0]
        found = None
        if waiting <= MOST_WAITING:
            found = await _reply(client, request_id, subscription.changed, deadline)
    if found is None:
        await client.lrem(keys.COUNTS, 1, entry)
    if waiting > MOST_WAITING:
        raise CountsFullError
    return None if found is None else json.loads(found)


class CountsFullError(Exception):
    """MOST_WAITING requests wait already."""


async def _reply(client: redis.asyncio.Redis, request_id: str, changed: asyncio.Event, deadline: float) -> Any:
    while True:
        changed.clear()
        found: Any = await client.get(_name(request_id))
        if found is not None or not await within(deadline, changed):
            return found


async def take(client: redis.asyncio.Redis) -> CountRequest | None:
    """Take the request that has waited longest; None when there is none."""
    entry: Any = await client.lpop(keys.COUNTS)
    return None if entry is None else CountRequest(*json.loads(entry))


def _name(request_id: str) -> str:
    return f"{keys.PREFIX}count:{request_id}"


async def answer(client: redis.asyncio.Redis, request_id: str, reply: dict[str, Any]) -> None:
    """Give the reply to a request."""
    async with client.pipeline(transaction=True) as pipe:
        pipe.set(_name(request_id), json.dumps(reply), ex=_KEPT)
        pipe.publish(keys.channel(request_id), "")
        await pipe.execute()
