"""What a schedule asks each minute: the figures by which the worker is scaled and alarms are raised.

Here and not in the worker, for one that is dead tells nobody that the queue grows.
"""

from collections.abc import Mapping

from shared.configuration.settings import StatusSettings, load
from shared.store.fleet import counters, slots
from shared.store.redis.client import async_client


async def tick() -> Mapping[str, float]:
    """Return `Waiting`, `Active`, `Delayed` (jobs), `Slots`, `OldestSeconds`, and `Demand`: jobs for each slot.

    Raises what the store raises: an invocation that fails is counted, and figures that are missing raise an alarm.
    """
    client = async_client(load(StatusSettings).redis_address)
    seen = await slots.health(client)
    oldest = (await counters.read(client)).oldest
    # While Claude takes no job, or an operator wants none started, more slots would only wait with the others.
    demand = 1.0 if seen.slots and seen.hold else (seen.waiting + seen.active) / max(seen.slots, 1)
    return {
        "Waiting": seen.waiting,
        "Active": seen.active,
        "Delayed": seen.delayed,
        "Slots": seen.slots,
        "OldestSeconds": (oldest or 0) / 1000,
        "Demand": demand,
    }
