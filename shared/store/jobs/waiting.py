"""Why a running job waits for Claude: what its record says, and the events of its retries."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import redis.asyncio

from shared.api.vocabulary import ErrorCode
from shared.store.jobs.claims import Claim
from shared.store.redis import scripts


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a job waits: since when and until when, in ms since the epoch."""

    code: ErrorCode
    since: int
    retry_at: int


@dataclass(frozen=True, slots=True)
class Retry:
    """A pause before a request is sent again, in ms; `attempt` counts the failed tries of that request."""

    code: ErrorCode
    delay: int
    attempt: int


async def note(
    client: redis.asyncio.Redis, claim: Claim, waiting: Waiting | None, retries: Sequence[Retry], hold: int = 0
) -> bool:
    """Write why a job waits, None when it does not; let no job start for `hold` ms. False without the claim."""
    written = (
        ""
        if waiting is None
        else json.dumps({"code": waiting.code, "since": waiting.since, "retryAt": waiting.retry_at})
    )
    told = {
        "job_id": claim.job_id,
        "number": claim.number,
        "hold_ms": hold,
        "waiting": written,
        "retries": [
            json.dumps({"code": retry.code, "delayMs": retry.delay, "attempt": retry.attempt}) for retry in retries
        ],
    }
    return bool(await scripts.run(client, "note_waiting", told=told))
