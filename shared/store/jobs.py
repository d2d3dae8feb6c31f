"""What the API does with jobs: accept one, read one."""

import json
import time
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from shared.store import keys, scripts

# Enough tokens to wake every idle slot of a fleet at once; more would only wake them for nothing.
WAKE_TOKENS = 64


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be accepted; `priority` is its place in PRIORITIES, `timeout` ms, `request` and `metadata` JSON."""

    job_id: str
    request_id: str
    caller: str
    priority: int
    timeout: int
    request: str
    metadata: str


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job as it stands: the fields of its record, its outcome if it has one, and its place if it waits."""

    job_id: str
    record: dict[str, str]
    outcome: dict[str, Any]
    position: int | None

    @property
    def metadata(self) -> dict[str, str]:
        """The submitter's metadata."""
        found: dict[str, str] = json.loads(self.record.get("meta", "{}"))
        return found

    def moment(self, field: str) -> int | None:
        """Return a time of the record in ms, or None when it has not come."""
        value = self.record.get(field)
        return None if value is None else int(value)


async def submit(client: redis.asyncio.Redis, job: NewJob, *, max_waiting: int) -> bool:
    """Accept a job in one round trip, or return False because `max_waiting` jobs wait already.

    Safe to send twice: a reply that was lost on the wire is asked for again and the job exists once.
    """
    accepted = await scripts.run(
        client,
        "submit",
        [
            keys.job(job.job_id),
            keys.job_input(job.job_id),
            keys.WAITING,
            keys.SEQUENCE,
            keys.WAKE,
            keys.jobs_of(job.caller),
        ],
        [
            job.job_id,
            job.request_id,
            job.caller,
            job.priority,
            job.timeout,
            max_waiting,
            job.request,
            job.metadata,
            WAKE_TOKENS,
        ],
    )
    return bool(accepted)


async def read(client: redis.asyncio.Redis, job_id: str, caller: str) -> StoredJob | None:
    """Read one of a caller's jobs in one round trip; None when there is none, or it is another's or forgotten."""
    async with client.pipeline(transaction=True) as pipe:
        pipe.hgetall(keys.job(job_id))
        pipe.get(keys.job_output(job_id))
        pipe.zrank(keys.WAITING, job_id)
        record, outcome, position = await pipe.execute()
    if record.get("caller") != caller or int(record.get("expires", 1 << 60)) <= time.time() * 1000:
        return None
    return StoredJob(job_id, record, json.loads(outcome) if outcome else {}, position)
