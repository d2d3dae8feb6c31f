"""The queue of waiting jobs, from a worker's side: pop the next one, or wait until there may be one."""

from typing import Any, Literal

import redis

from shared.store import keys
from shared.store.jobs.claims import Claim
from shared.store.redis import scripts

# Milliseconds between a pop and its claim, after which the rescuer gives the job back: the slot has died in between.
CLAIM_WITHIN = 10_000
# A worker without a sandbox takes `plain` jobs: those without built-in tools.
Takes = Literal["all", "plain"]


def pop(
    client: redis.Redis,
    claim_within: int = CLAIM_WITHIN,
    takes: Takes = "all",
    caller_max_active: int | None = None,
) -> Claim | None:
    """Take the next job off the queue; return its claim, or None when nothing may start."""
    text: Any = scripts.run_sync(
        client, "pop", claim_ms=claim_within, takes=takes, caller_max_active=caller_max_active or 0
    )
    if text is None:
        return None
    return Claim.parse(text.decode() if isinstance(text, bytes) else text)  # a client may decode or not


def wait(client: redis.Redis, seconds: int) -> None:
    """Block until a job has been submitted, for so many seconds at most.

    This is a hint: another slot may take the job, and a job may wait without a token.
    """
    client.blpop([keys.WAKE], seconds)
