"""Metrics for scaling and alarms, which a schedule reads each minute.

They are not in the worker, because a dead worker cannot report that the queue grows.
"""

from collections.abc import Mapping

from shared.configuration.settings import StatusSettings, load
from shared.store.fleet import counters, slots
from shared.store.redis.client import async_client


async def tick() -> Mapping[str, float]:
    """Return `Waiting`, `Active`, `Delayed` (jobs), `Slots`, `OldestSeconds`, and `Demand`: jobs per slot.

    Raises errors of the store: AWS counts the failed invocation, and missing metrics raise an alarm.
    """
    client = async_client(load(StatusSettings).redis_address)
    seen = await slots.health(client)
    oldest = (await counters.read(client)).oldest
    # While the queue is held or paused, more slots would not start more jobs.
    demand = 1.0 if seen.slots and seen.hold else (seen.waiting + seen.active) / max(seen.slots, 1)
    return {
        "Waiting": seen.waiting,
        "Active": seen.active,
        "Delayed": seen.delayed,
        "Slots": seen.slots,
        "OldestSeconds": (oldest or 0) / 1000,
        "Demand": demand,
    }
