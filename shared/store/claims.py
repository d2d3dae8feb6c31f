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
    request_id: str
    caller: str


@dataclass(frozen=True, slots=True)
class Upstream:
    """What an attempt showed of Claude: that it answers us, refuses us, or wants no request for `wait` ms."""

    shows: Literal["answered", "refused", "limited", ""] = ""
    code: str = ""
    wait: int = 0


@dataclass(frozen=True, slots=True)
class Spend:
    """What an attempt cost, in USD and tokens; all of it counts, whatever came of the attempt."""

    model: str = ""
    cost: float = 0.0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_creation: int = 0

    def to_json(self) -> str:
        """Write it as the scripts read it: an empty text for nothing."""
        tokens = {
            "input": self.input, "output": self.output, "cache_read": self.cache_read,
            "cache_creation": self.cache_creation,
        }  # fmt: skip
        nothing = not self.cost and not any(tokens.values())
        return "" if nothing else json.dumps({"model": self.model or "unknown", "cost": self.cost, "tokens": tokens})


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
            case {"script": "finish" | "retry" | "hand_back" as script, "args": list(args)}:
                return cls(script, tuple(args))
            case _:
                raise ValueError("not a settlement")


async def take(client: redis.asyncio.Redis, claim: Claim, slot: str) -> ClaimedJob | None:
    """Claim a job for a slot; None when the record expects another claim, or none any more."""
    reply = await scripts.run(client, "claim", claim.job_id, claim.number, slot, LEASE)
    if reply is None:
        return None
    request, attempts, time_left, request_id, caller = reply
    return ClaimedJob(claim, json.loads(request), attempts, time_left, request_id, caller)


async def keep(client: redis.asyncio.Redis, claim: Claim, progress: int, piece: int = 0, text: str = "") -> bool:
    """Renew the lease, move progress, and tell a piece of the answer's text.

    False when the claim no longer holds and the run is to be given up. A piece that is sent again under its number is
    told once.
    """
    return bool(await scripts.run(client, "keep", claim.job_id, claim.number, progress, LEASE, piece, text))


def finish(
    claim: Claim,
    state: Literal["completed", "failed"],
    outcome: dict[str, Any],
    *,
    keep_for: int,
    upstream: Upstream = Upstream(),
    spend: Spend = Spend(),
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
    told = (spend.to_json(), upstream.shows, code, upstream.wait)
    gone = json.dumps(absent) if absent else ""
    talk = (outcome["result"].get("sessionId") or "") if "result" in outcome else ""
    kept = (keep_for * 1000, *told, saves, gone, talk, keep_talk_for)
    return Settlement("finish", (claim.job_id, claim.number, state, body, *kept))


def retry(claim: Claim, delay: int, code: str, upstream: Upstream, spend: Spend = Spend()) -> Settlement:
    """Let the job run again after `delay` ms; the attempt counts."""
    told = (upstream.shows, code, upstream.wait, spend.to_json())
    return Settlement("retry", (claim.job_id, claim.number, delay, *told))


def hand_back(claim: Claim) -> Settlement:
    """Put a running job back at the front of its priority without using an attempt."""
    return Settlement("hand_back", (claim.job_id, claim.number))


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
