"""What a slot does with jobs: claim one, keep the claim, end it or hand it back.

Every write names the claim's `n`. A slot that was given up for dead, and wakes, changes nothing.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

import redis.asyncio

from shared.store import keys, scripts

# A slot renews its lease every LEASE/5; a lease that ended means that the slot, or its host, is gone.
LEASE = 15_000


@dataclass(frozen=True, slots=True)
class Claim:
    """One handing-out of a job; `number` is its fence."""

    job_id: str
    number: int

    @classmethod
    def parse(cls, text: str) -> "Claim":
        """Read a claim's id, `JOB-N`; raise ValueError when it is not one."""
        job_id, separator, number = text.rpartition("-")
        if not separator or not job_id or not number.isdecimal():
            raise ValueError("a claim is written JOB-N")
        return cls(job_id, int(number))

    def __str__(self) -> str:
        return f"{self.job_id}-{self.number}"


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """What a slot needs to run a job; `time_left` is ms on the one clock over all attempts."""

    claim: Claim
    request: dict[str, Any]
    attempts: int
    time_left: int


async def take(client: redis.asyncio.Redis, claim: Claim, slot: str) -> ClaimedJob | None:
    """Claim a job for a slot; None when the record expects another claim, or none any more."""
    reply = await scripts.run(client, "claim", claim.job_id, claim.number, slot, LEASE)
    if reply is None:
        return None
    request, attempts, time_left = reply
    return ClaimedJob(claim, json.loads(request), attempts, time_left)


async def keep(client: redis.asyncio.Redis, claim: Claim, progress: int) -> bool:
    """Renew the lease and move progress; False when the claim no longer holds and the run is to be given up."""
    return bool(await scripts.run(client, "keep", claim.job_id, claim.number, progress, LEASE))


async def finish(
    client: redis.asyncio.Redis,
    claim: Claim,
    state: Literal["completed", "failed"],
    outcome: dict[str, Any],
    *,
    keep_for: int,
) -> bool:
    """End the job: `outcome` is `{"result": …}` or `{"error": …}`, readable for `keep_for` s.

    Returns False when the claim no longer holds, and then changes nothing. Safe to send twice.
    """
    cost = outcome["result"]["costUsd"] if "result" in outcome else 0
    return bool(
        await scripts.run(
            client,
            "finish",
            claim.job_id,
            claim.number,
            state,
            json.dumps(outcome.get("result") or outcome["error"]),
            keep_for * 1000,
            cost,
        )
    )


async def hand_back(client: redis.asyncio.Redis, claim: Claim) -> bool:
    """Put a running job back at the front of its priority without using an attempt."""
    return bool(await scripts.run(client, "hand_back", claim.job_id, claim.number))


async def cancellations(client: redis.asyncio.Redis) -> AsyncIterator[str]:
    """Yield the ids of jobs as they are cancelled; ends with an error of the connection."""
    async with client.pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(keys.CANCELLED)
        async for message in channel.listen():
            yield message["data"]
