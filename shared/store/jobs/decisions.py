"""Decisions: what a job is paused for, and what was decided.

Fields of a job's record that was paused (times in ms):

    ask      id of its last decision; decisions: ids of all, with a space between
    pause    the call that it is, or was last, paused for: JSON as clients see it
    resume   what the run needs that goes on after the pause, JSON
    decision what was decided, JSON; called: claim number of the run that has begun the allowed call
    token    of the one-use URL, while it is paused; until, late: when the time to decide is over, and what happens then
    paused   the session in which its runs staged their transcripts; kept: bytes of what is kept for its pauses
    pauses   its last pauses that have ended, see pause_history.lua
    stopped  since when its clock stands, while it is paused; stood: for how long it has stood before
"""

import hmac
import json
from typing import TYPE_CHECKING, Any, Literal

import redis.asyncio

from shared.store.redis import scripts

if TYPE_CHECKING:
    from shared.store.jobs.records import StoredJob

Made = Literal["decided", "missing", "over"]
By = Literal["caller", "url", "admin"]


async def decide(
    client: redis.asyncio.Redis,
    job_id: str,
    ask: str,
    decision: dict[str, Any],
    *,
    caller: str | None,
    by: By = "admin",
) -> Made:
    """Decide what one of a caller's jobs, or any job when the caller is None, is paused for."""
    made: Made = await scripts.run(
        client,
        "decide",
        job_id=job_id,
        caller=caller or "",
        ask=ask,
        decision=json.dumps(decision),
        outcome=decision["decision"],
        by=by,
    )
    return made


def is_token(job: "StoredJob", token: str) -> bool:
    """Return whether a token is that of the one-use URL of what a job is paused for."""
    own = job.record.get("token")
    return own is not None and job.record["state"] == "paused" and hmac.compare_digest(own.encode(), token.encode())
