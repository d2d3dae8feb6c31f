"""Sends a command to Redis every few seconds, so that an API without requests also detects and logs failures."""

import asyncio

from redis.exceptions import RedisError

from shared.store.redis import clock, failures
from shared.store.redis.client import async_client

# Seconds between checks; also the time limit for renewing a subscription after a failover.
_EVERY = 5.0
# Seconds before the first check, because Redis may still be starting.
_FIRST_AFTER = 2.0


async def watch(address: str) -> None:
    """Log failures of Redis until cancelled; a change of the primary is detected too."""
    await asyncio.sleep(_FIRST_AFTER)
    while True:
        try:
            await clock.now(async_client(address))
        except (RedisError, OSError) as error:
            failures.report(address, error)
        await asyncio.sleep(_EVERY)
