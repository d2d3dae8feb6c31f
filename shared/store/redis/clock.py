"""The time by Redis's clock, for everything that two hosts compare; a host's own clock is for durations alone."""

from typing import cast

import redis.asyncio

from shared.store.redis.ordered_replies import Command
from shared.store.redis.pipelining import get

# Sent with other commands, so that the time costs no round trip of its own.
TIME: Command = ("TIME",)


def milliseconds(time: tuple[int, int]) -> int:
    """Convert the reply to TIME to ms since the epoch."""
    seconds, microseconds = time
    return seconds * 1000 + microseconds // 1000


async def now(client: redis.asyncio.Redis) -> int:
    """Return the time by Redis's clock, in ms since the epoch."""
    [time] = await get(client, TIME)
    return milliseconds(cast("tuple[int, int]", time))
