"""The steps of a slot with a job in the store, without a CLI."""

from collections.abc import Sequence
from typing import Any, Literal

from shared.store.jobs import claims, maintenance, queue
from shared.store.redis.client import async_client, sync_client

RESULT = {
    "response": "4", "format": "text", "structured": None, "sessionId": None, "model": "m", "costUsd": 0.25,
    "usage": {"inputTokens": 1, "outputTokens": 1, "cacheReadTokens": 0, "cacheCreationTokens": 0},
    "durationMs": 1, "turns": 1,
}  # fmt: skip
ERROR = {"error": {"code": "server_error", "message": "no", "retryable": True}}


def pop(url: str, takes: queue.Takes = "all") -> claims.Claim | None:
    """Take the next job off the queue, and return its claim; None when nothing waits."""
    with sync_client(url) as client:
        return queue.pop(client, takes=takes)


def pop_one(url: str) -> claims.Claim:
    """Take the next job off the queue, which has one, and return its claim."""
    claim = pop(url)
    assert claim is not None, "nothing waits"
    return claim


def rescue(url: str, slot: str, error: str = "{}") -> None:
    """Give back the jobs of a dead slot, as the rescuer of a worker does."""
    with sync_client(url) as client:
        maintenance.rescue(client, attempts=3, keep_for=60, error=error, slot=slot)


async def take(url: str, slot: str = "slot", *, budget: float = 0) -> claims.Claim:
    """Claim the next job for a slot of that name and a daily budget, and return the claim."""
    claim = pop_one(url)
    assert await claims.take(async_client(url), claim, slot, budget) is not None
    return claim


async def run(
    url: str, outcome: dict[str, Any] | None = None, *, keep_for: int = 60, absent: Sequence[str] = ()
) -> str | None:
    """Do what a slot does with the next job, without a CLI; return its id, or None when nothing waits."""
    client = async_client(url)
    claim = pop(url)
    if claim is None:
        return None
    assert await claims.take(client, claim, "slot") is not None
    outcome = outcome or {"result": RESULT}
    state: Literal["completed", "failed"] = "completed" if "result" in outcome else "failed"
    saves = outcome.get("result", {}).get("costUsd", 0)
    settlement = claims.finish(claim, state, outcome, keep_for=keep_for, absent=absent, saves_usd=saves)
    assert await claims.settle(client, settlement) == "settled"
    return claim.job_id
