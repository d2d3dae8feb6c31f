"""Asks Redis for the time every few seconds, so that an API without requests also notices what is wrong with it."""

import asyncio

from redis.exceptions import RedisError

from shared.store.redis import clock, failures
from shared.store.redis.client import async_client

# Also the time within which a subscription to a server that is not the primary any more is made again; seconds.
_EVERY = 5.0
# What starts together need not be there at once; seconds.
_FIRST_AFTER = 2.0


async def watch(address: str) -> None:
    """Log what is wrong with Redis until cancelled; a change of its primary is noticed too."""
    await asyncio.sleep(_FIRST_AFTER)
    while True:
        try:
            await clock.now(async_client(address))
        except (RedisError, OSError) as error:
            failures.report(address, error)
        await asyncio.sleep(_EVERY)
