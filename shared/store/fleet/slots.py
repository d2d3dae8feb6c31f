"""The live slots: one sorted set of slots, each with the time at which it counts as dead."""

from dataclasses import dataclass
from typing import cast

import redis
import redis.asyncio

from shared.store import keys
from shared.store.fleet import workers
from shared.store.fleet.slot_names import host_of
from shared.store.redis import scripts

# hash: slot name → bytes of memory of its processes.
MEMORY = keys.PREFIX + "slots:memory"
# Seconds between two heartbeats of a slot, and after which a slot without one counts as dead.
HEARTBEAT_EVERY, ALIVE_FOR = 5.0, 15.0


@dataclass(frozen=True, slots=True)
class Health:
    """The state that readiness depends on.

    `held` is the error code with which Claude refuses all jobs; `limited` is true during its rate limit.
    """

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
        """The reason why live slots start no job; None when nothing holds the queue."""
        return "paused" if self.paused else self.held or ("rate_limited" if self.limited else None)


async def send_heartbeat(client: redis.asyncio.Redis, slot: str, memory: int = 0) -> None:
    """Record that a slot is alive and how much memory it has, and remove those that died long ago."""
    await scripts.run(client, "heartbeat", slot=slot, alive_ms=int(ALIVE_FOR * 1000), memory=memory)


async def leave(client: redis.asyncio.Redis, slot: str) -> None:
    """Remove a slot that ends."""
    async with client.pipeline(transaction=True) as pipe:
        pipe.zrem(keys.SLOTS, slot)
        pipe.hdel(MEMORY, slot)
        await pipe.execute()


def count_live(client: redis.Redis, host: str) -> int:
    """Count the live slots of a host's worker."""
    names = [cast("bytes", name).decode() for name in scripts.run_sync(client, "live_slots")]
    return sum(host_of(name) == host for name in names)


async def health(client: redis.asyncio.Redis) -> Health:
    """Write a key, count live slots and unfinished jobs, and read what holds the queue, in one round trip.

    Raises RedisError when Redis does not answer, and when it refuses writes.
    """
    now, live, waiting, active, delayed, since, code, limited, paused, known = await scripts.run(client, "health")
    held = code if since else None
    return Health(live, waiting, active, delayed, held, bool(limited), bool(paused), workers.read(known, now))
