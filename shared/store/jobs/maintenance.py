"""Maintenance of the queue, called by every worker: each step is atomic, so that two workers at once do no harm."""

from typing import Literal, NamedTuple

import redis

from shared.store.redis import scripts

# Jobs or batches that one script handles at most, so that it does not block Redis for long.
_BATCH = 500
# A job that took so many workers with it is not given to another.
_MAY_LOSE = 2


class Rescued(NamedTuple):
    """A job that lost its slot: it waits again, or has failed with `worker_lost`."""

    job_id: str
    what: Literal["requeued", "lost"]


def rescue(client: redis.Redis, *, attempts: int, keep_for: int, error: str, slot: str | None = None) -> list[Rescued]:
    """Give back the jobs whose lease has ended, or those of one dead slot.

    A job fails with `error` (JSON) after so many `attempts` in all, or after two lost workers. Then it stays readable
    for `keep_for` s.
    """
    flat = scripts.run_sync(
        client, "rescue", most=_BATCH, may_lose=_MAY_LOSE, most_attempts=attempts, keep_ms=keep_for * 1000,
        failure=error, slot=slot or "",
    )  # fmt: skip
    return [Rescued(job_id.decode(), what.decode()) for job_id, what in zip(flat[::2], flat[1::2], strict=True)]


def cancel_revoked(client: redis.Redis, *, most: int, keep_for: int) -> bool:
    """Cancel up to `most` jobs of callers whose keys are revoked; return whether there may be more."""
    return bool(scripts.run_sync(client, "cancel_revoked", most=most, keep_ms=keep_for * 1000))


def expire_decisions(client: redis.Redis, *, denial: str, error: str, keep_for: int) -> int:
    """Decide what nobody has decided in time: by `denial` or by failing the job, both JSON; return how many."""
    count: int = scripts.run_sync(
        client, "expire_decisions", most=_BATCH, decision=denial, failure=error, keep_ms=keep_for * 1000
    )
    return count


def forget_expired(client: redis.Redis) -> int:
    """Forget jobs and batches whose time is over; return how many jobs."""
    count: int = scripts.run_sync(client, "forget_expired", most=_BATCH)
    return count


def release_held(client: redis.Redis, *, caller_max_active: int | None) -> int:
    """Queue held jobs whose callers may run more jobs than they do; return how many."""
    count: int = scripts.run_sync(client, "release_held", most=_BATCH, caller_max_active=caller_max_active or 0)
    return count


def queue_next_turns(client: redis.Redis) -> int:
    """Queue parked jobs whose turn in a session has come; return how many."""
    count: int = scripts.run_sync(client, "queue_next_turns", most=_BATCH)
    return count
