"""The reason why a running job waits for Claude, in its record, and the events of its retries."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import redis.asyncio

from shared.api.vocabulary import ErrorCode
from shared.store.jobs.claims import Claim
from shared.store.redis import scripts


@dataclass(frozen=True, slots=True)
class Waiting:
    """The reason why a job waits; `since` and `retry_at` in ms since the epoch."""

    code: ErrorCode
    since: int
    retry_at: int


@dataclass(frozen=True, slots=True)
class Cloning:
    """A job waits for the clone of its repository; `since` in ms since the epoch."""

    since: int


@dataclass(frozen=True, slots=True)
class Retry:
    """A pause before a request is sent again, in ms; `attempt` counts the failed tries of that request."""

    code: ErrorCode
    delay: int
    attempt: int


async def note(
    client: redis.asyncio.Redis,
    claim: Claim,
    waiting: Waiting | Cloning | None,
    retries: Sequence[Retry],
    hold: int = 0,
) -> bool:
    """Write the reason why a job waits, None for none; hold the queue for `hold` ms. Return whether the claim holds."""
    reason = ""
    if isinstance(waiting, Cloning):
        reason = json.dumps({"code": "cloning", "since": waiting.since, "retryAt": None})
    elif waiting is not None:
        reason = json.dumps({"code": waiting.code, "since": waiting.since, "retryAt": waiting.retry_at})
    fields = {
        "job_id": claim.job_id,
        "number": claim.number,
        "hold_ms": hold,
        "waiting": reason,
        "retries": [
            json.dumps({"code": retry.code, "delayMs": retry.delay, "attempt": retry.attempt}) for retry in retries
        ],
    }
    return bool(await scripts.run(client, "note_waiting", note=fields))
