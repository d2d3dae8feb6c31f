"""Counters over all processes and workers. Scripts count in the transaction of the change that they count.

Fields of `cg:counters`:

    completed, cancelled, failed:CODE, retries:CODE, stalled, deduplicated
    cache_hits, cache_misses, cache_saved_usd
    execution:LE, execution:sum, queue_wait:LE, queue_wait:sum  count of that bucket alone; sum in s
    cost:MODEL in USD, tokens:KIND:MODEL
    decisions:OUTCOME decisions; decision:LE, decision:sum  time until somebody decided, as in the other histograms
    webhooks:OUTCOME delivery attempts, webhooks_pending
    upstream:CODE requests to Claude that the relay sends again, schedules:OUTCOME due times and runs by hand

Fields of `cg:http`: `n|METHOD|ROUTE|STATUS` requests, `b|METHOD|ROUTE|LE` in that bucket alone, `s|METHOD|ROUTE` sum
in s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import redis.asyncio

from shared.store import keys
from shared.store.fleet import workers
from shared.store.redis import scripts


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of the deployment; `slots` maps live slots to the job that each runs, '' for none; `oldest` in ms.

    `holds` are the reasons for which no job starts. `held` jobs wait for a running job of their caller. `exemplars` are
    by the field of their bucket.
    """

    counters: dict[str, str]
    http: dict[str, str]
    jobs: dict[str, int]
    slots: dict[str, str]
    oldest: int | None
    workers: list[workers.Worker]
    exemplars: dict[str, str] = field(default_factory=dict)
    holds: tuple[str, ...] = ()
    held: int = 0
    file_bytes: int = 0


def _pairs(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


async def read(client: redis.asyncio.Redis) -> Metrics:
    """Read all metrics in one round trip."""
    counters, http, jobs, slots, oldest, now, known, exemplars, *holds, held, file_bytes = await scripts.run(
        client, "stats"
    )
    paused, limited, refusal = holds
    reasons = ("paused" if paused else "", "rate_limited" if limited else "", refusal)
    return Metrics(
        counters=_pairs(counters),
        http=_pairs(http),
        jobs={state: int(count) for state, count in _pairs(jobs).items()},
        slots=_pairs(slots),
        oldest=None if oldest < 0 else oldest,
        workers=workers.read(known, now),
        exemplars=_pairs(exemplars),
        holds=tuple(reason for reason in reasons if reason),
        held=held,
        file_bytes=file_bytes,
    )


async def add_http(
    client: redis.asyncio.Redis, counts: Mapping[str, int], seconds: Mapping[str, float], exemplars: Mapping[str, str]
) -> None:
    """Add the HTTP counts of one process, in one round trip."""
    async with client.pipeline(transaction=True) as pipe:
        for name, count in counts.items():
            pipe.hincrby(keys.HTTP, name, count)
        for name, total in seconds.items():
            pipe.hincrbyfloat(keys.HTTP, name, total)
        if exemplars:
            pipe.hset(keys.EXEMPLARS, items=[part for pair in exemplars.items() for part in pair])
        await pipe.execute()
