"""The events of a job, as the scripts publish them."""

from dataclasses import dataclass

import redis.asyncio

from shared.store import keys
from shared.store.redis.pipelining import get

# The id before all others. Every job waits first: that event is not stored, and precedes those that are.
FIRST = "0-0"


@dataclass(frozen=True, slots=True)
class Event:
    """One entry: `kind` is state, delta, reset, retry, action_required or done.

    `data` is JSON for a state, a retry or a call to decide, text for a delta, else empty.
    """

    id: str
    kind: str
    data: str


async def since(client: redis.asyncio.Redis, job_id: str, after: str, most: int) -> list[Event]:
    """Return the events of a job after one event, the oldest first, in one round trip."""
    [found] = await get(client, ("XRANGE", keys.events(job_id), f"({after}", "+", "COUNT", most))
    return [Event(entry, fields["k"], fields["d"]) for entry, fields in found]
