"""Which slots are alive: each says so in one sorted set, with the time at which it counts as dead."""

import time
from dataclasses import dataclass
from typing import cast

import redis
import redis.asyncio

from shared.slot_names import host_of
from shared.store import keys, workers

# A slot says so every third of this; one that is late three times is not counted any more.
ALIVE_FOR = 15.0


@dataclass(frozen=True, slots=True)
class Health:
    """What readiness is judged by; `held` is the code with which Claude refuses everybody, `limited` its rate limit."""

    slots: int
    waiting: int
    active: int
    delayed: int
    held: str | None
    limited: bool
    paused: bool
    workers: list[workers.Worker]

    @property
    def hold(self) -> str | None:
        """Why no job is started although slots are there; None when nothing holds the queue."""
        return "paused" if self.paused else self.held or ("rate_limited" if self.limited else None)


async def beat(client: redis.asyncio.Redis, slot: str) -> None:
    """Say that a slot is alive, and forget those that have not said so for long."""
    now = time.time()
    async with client.pipeline(transaction=False) as pipe:
        pipe.zadd(keys.SLOTS, {slot: now + ALIVE_FOR})
        pipe.zremrangebyscore(keys.SLOTS, 0, now - 60)
        await pipe.execute()


async def leave(client: redis.asyncio.Redis, slot: str) -> None:
    """Say that a slot has ended."""
    await client.zrem(keys.SLOTS, slot)


def alive_of(client: redis.Redis, host: str) -> int:
    """Count the live slots of a host's worker."""
    names = [cast("bytes", name).decode() for name in client.zrangebyscore(keys.SLOTS, time.time(), "+inf")]
    return sum(host_of(name) == host for name in names)


async def health(client: redis.asyncio.Redis) -> Health:
    """Count live slots and unfinished jobs, and see what holds the queue, in one round trip."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.zcount(keys.SLOTS, time.time(), "+inf")
        pipe.zcard(keys.WAITING)
        pipe.zcard(keys.ACTIVE)
        pipe.zcard(keys.DELAYED)
        pipe.hmget(keys.UPSTREAM, "since", "code")
        pipe.exists(keys.NOT_BEFORE)
        pipe.exists(keys.PAUSED)
        pipe.hvals(keys.WORKERS)
        live, waiting, active, delayed, (since, code), limited, paused, known = await pipe.execute()
    held = code if since else None
    return Health(live, waiting, active, delayed, held, bool(limited), bool(paused), workers.read(known))
