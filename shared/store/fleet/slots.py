"""Which slots are alive: each says so in one sorted set, with the time at which it counts as dead."""

from dataclasses import dataclass
from typing import cast

import redis
import redis.asyncio

from shared.store import keys
from shared.store.fleet import workers
from shared.store.fleet.slot_names import host_of
from shared.store.redis import scripts

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
    await scripts.run(client, "heartbeat", slot, int(ALIVE_FOR * 1000))


async def leave(client: redis.asyncio.Redis, slot: str) -> None:
    """Say that a slot has ended."""
    await client.zrem(keys.SLOTS, slot)


def alive_of(client: redis.Redis, host: str) -> int:
    """Count the live slots of a host's worker."""
    names = [cast("bytes", name).decode() for name in scripts.run_sync(client, "live_slots")]
    return sum(host_of(name) == host for name in names)


async def health(client: redis.asyncio.Redis) -> Health:
    """Try a write, count live slots and unfinished jobs, and read what holds the queue, in one round trip.

    Raises what Redis raises, also when it answers and refuses writes.
    """
    now, live, waiting, active, delayed, since, code, limited, paused, known = await scripts.run(client, "health")
    held = code if since else None
    return Health(live, waiting, active, delayed, held, bool(limited), bool(paused), workers.read(known, now))
