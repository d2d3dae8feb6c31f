"""What has been counted, over all processes and workers; the scripts count within the transactions that it tells of.

Fields of `cg:counters`:

    completed, cancelled, failed:CODE, retries:CODE, stalled, deduplicated
    cache_hits, cache_misses, cache_saved_usd
    execution:LE, execution:sum, queue_wait:LE, queue_wait:sum  how many ended in that bucket alone; s
    cost:MODEL in USD, tokens:KIND:MODEL
    webhooks:OUTCOME tries, webhooks_pending

Fields of `cg:http`: `n|METHOD|ROUTE|STATUS` requests, `b|METHOD|ROUTE|LE` in that bucket alone, `s|METHOD|ROUTE` s.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import redis.asyncio

from shared.store import keys
from shared.store.redis import scripts


@dataclass(frozen=True, slots=True)
class Figures:
    """The deployment as a whole: `slots` are the live ones with the job each runs, '' for none; `oldest` in ms."""

    counters: dict[str, str]
    http: dict[str, str]
    jobs: dict[str, int]
    slots: dict[str, str]
    oldest: int | None


def _pairs(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


async def read(client: redis.asyncio.Redis) -> Figures:
    """Read all figures in one round trip."""
    counters, http, jobs, slots, oldest = await scripts.run(client, "stats")
    return Figures(
        counters=_pairs(counters),
        http=_pairs(http),
        jobs={state: int(count) for state, count in _pairs(jobs).items()},
        slots=_pairs(slots),
        oldest=None if oldest < 0 else oldest,
    )


async def add_http(client: redis.asyncio.Redis, counts: Mapping[str, int], seconds: Mapping[str, float]) -> None:
    """Add what one process has counted of HTTP, in one round trip."""
    async with client.pipeline(transaction=True) as pipe:
        for field, count in counts.items():
            pipe.hincrby(keys.HTTP, field, count)
        for field, total in seconds.items():
            pipe.hincrbyfloat(keys.HTTP, field, total)
        await pipe.execute()
