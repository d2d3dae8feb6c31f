"""The lease of a running job: renewed while its slot lives, together with the progress that it has made."""

import asyncio
import logging
import math
from dataclasses import dataclass, field

import redis.asyncio
from redis.exceptions import RedisError

from shared.store import claims

log = logging.getLogger("worker.lease")

# Progress is written at most this often; at least this often the lease is renewed, and the state read again, for a
# message of a cancellation can be lost; seconds.
_PROGRESS_EVERY, _LEASE_EVERY = 0.25, 0.75
# Nobody knows how long an answer will be: after this many characters progress is at two thirds of its way.
_USUAL_ANSWER = 1500


@dataclass(slots=True)
class Progress:
    """How far a run is: 10 when started, up to 90 while the model writes."""

    written: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, text: str) -> None:
        """Count text that the model wrote."""
        self.written += len(text)
        self.changed.set()

    @property
    def value(self) -> int:
        """Progress as the API shows it."""
        return 10 + int(80 * (1 - math.exp(-self.written / _USUAL_ANSWER)))


async def keep(client: redis.asyncio.Redis, claim: claims.Claim, progress: Progress) -> None:
    """Write progress and renew the lease until the claim is lost; a store that is away changes nothing."""
    holds = True
    while holds:
        await asyncio.sleep(_PROGRESS_EVERY)
        try:
            async with asyncio.timeout(_LEASE_EVERY):
                await progress.changed.wait()
        except TimeoutError:
            pass
        progress.changed.clear()
        try:
            holds = await claims.keep(client, claim, progress.value)
        except RedisError:
            log.warning("lease_not_renewed", extra={"fields": {"job_id": claim.job_id}})
