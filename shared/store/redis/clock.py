"""The time: Redis's, for everything that two hosts compare. The clock of a host is right for its own durations only."""

from typing import cast

import redis.asyncio

from shared.store.redis.pipelining import Command, get

# Sent beside other commands, so that the time costs no round trip of its own.
TIME: Command = ("TIME",)


def milliseconds(time: tuple[int, int]) -> int:
    """Convert the reply to TIME to ms since the epoch."""
    seconds, microseconds = time
    return seconds * 1000 + microseconds // 1000


async def now(client: redis.asyncio.Redis) -> int:
    """Return the time by Redis's clock, in ms since the epoch."""
    [time] = await get(client, TIME)
    return milliseconds(cast("tuple[int, int]", time))
