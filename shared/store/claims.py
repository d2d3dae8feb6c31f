"""What a slot does with jobs: claim one, keep the claim, and settle it.

Every write names the claim's `n`. A slot that was given up for dead, and wakes, changes nothing.
"""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import redis
import redis.asyncio

from shared.store import keys, scripts
from shared.store.spending import Spend, to_json

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
    """What a slot needs to run a job; `time_left`: ms on one clock over all attempts; `cost`: USD of those before."""

    claim: Claim
    request: dict[str, Any]
    attempts: int
    time_left: int
    request_id: str
    caller: str
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """What an attempt showed of Claude: that it answers us, refuses us, or wants no request for `wait` ms."""

    shows: Literal["answered", "refused", "limited", ""] = ""
    code: str = ""
    wait: int = 0


@dataclass(frozen=True, slots=True)
class Settlement:
    """One write that ends a claim, as it can also stand on disk until Redis is there; safe to send twice."""

    script: str
    args: tuple[str | int | float, ...]

    def to_json(self) -> str:
        """Write it down."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Settlement":
        """Read what `to_json` wrote; raise ValueError when it is anything else."""
        match json.loads(text):
            case {"script": "finish" | "retry" | "hand_back" | "spent" as script, "args": list(args)}:
                return cls(script, tuple(args))
            case _:
                raise ValueError("not a settlement")


async def take(client: redis.asyncio.Redis, claim: Claim, slot: str, budget: float = 0) -> ClaimedJob | None:
    """Claim a job for a slot; None when the record expects another claim, or none any more.

    Also None when its caller has spent the `budget` of the day, in USD, if there is one: then it runs the next day.
    """
    reply = await scripts.run(client, "claim", claim.job_id, claim.number, slot, LEASE, budget)
    if reply is None:
        return None
    request, attempts, time_left, request_id, caller, cost = reply
    return ClaimedJob(claim, json.loads(request), attempts, time_left, request_id, caller, float(cost))


async def keep(
    client: redis.asyncio.Redis, claim: Claim, progress: int, piece: int = 0, text: str = "", spent: str = ""
) -> bool:
    """Renew the lease, move progress, tell a piece of the answer's text, and what the run has cost, if that is new.

    False when the claim no longer holds and the run is to be given up. A piece that is sent again under its number is
    told once.
    """
    told = (progress, LEASE, piece, text, spent)
    return bool(await scripts.run(client, "keep", claim.job_id, claim.number, *told))


def finish(
    claim: Claim,
    state: Literal["completed", "failed"],
    outcome: dict[str, Any],
    *,
    keep_for: int,
    upstream: Upstream = Upstream(),
    spend: Sequence[Spend] = (),
    absent: Sequence[str] = (),
    keep_talk_for: int = 0,
) -> Settlement:
    """End the job: `outcome` is `{"result": …}` or `{"error": …}`, readable for `keep_for` s.

    `absent` are the MCP servers that were not there. A conversation that the result names is kept for
    `keep_talk_for` s.
    """
    saves = outcome["result"]["costUsd"] if "result" in outcome else 0
    body = json.dumps(outcome.get("result") or outcome["error"])
    code = outcome["error"]["code"] if "error" in outcome else ""
    told = (to_json(spend), upstream.shows, code, upstream.wait)
    gone = json.dumps(absent) if absent else ""
    talk = (outcome["result"].get("sessionId") or "") if "result" in outcome else ""
    kept = (keep_for * 1000, *told, saves, gone, talk, keep_talk_for)
    return Settlement("finish", (claim.job_id, claim.number, state, body, *kept))


def retry(claim: Claim, delay: int, code: str, upstream: Upstream, spend: Sequence[Spend] = ()) -> Settlement:
    """Let the job run again after `delay` ms; the attempt counts."""
    told = (upstream.shows, code, upstream.wait, to_json(spend))
    return Settlement("retry", (claim.job_id, claim.number, delay, *told))


def hand_back(claim: Claim, spend: Sequence[Spend] = ()) -> Settlement:
    """Put a running job back at the front of its priority without using an attempt."""
    return Settlement("hand_back", (claim.job_id, claim.number, to_json(spend)))


def spent(claim: Claim, caller: str, spend: Sequence[Spend]) -> Settlement:
    """Count what a run cost whose claim does not hold any more."""
    return Settlement("spent", (claim.job_id, claim.number, caller, to_json(spend)))


async def settle(client: redis.asyncio.Redis, settlement: Settlement) -> Literal["void", "settled", "held"]:
    """Write a settlement; `held` when the job waits because Claude refuses everybody, `void` without a claim."""
    reply = await scripts.run(client, settlement.script, *settlement.args)
    return ("void", "settled", "held")[reply]


def settle_sync(client: redis.Redis, settlement: Settlement) -> None:
    """Write a settlement from a thread that blocks."""
    scripts.run_sync(client, settlement.script, *settlement.args)


async def cancellations(client: redis.asyncio.Redis) -> AsyncIterator[str]:
    """Yield the ids of jobs as they are cancelled; ends with an error of the connection."""
    async with client.pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(keys.CANCELLED)
        async for message in channel.listen():
            yield message["data"]
