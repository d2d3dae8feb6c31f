"""The records of jobs: read one, cancel one, list a caller's."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import redis.asyncio

from shared.api.vocabulary import TERMINAL, State
from shared.store import keys
from shared.store.fleet.workers import ALIVE_FOR
from shared.store.redis import clock, scripts
from shared.store.redis.ordered_replies import Command
from shared.store.redis.pipelining import get

# Bytes. Of a larger result only the beginning is pipelined with other requests' commands; then it is read by itself.
_SMALL = 65_536
STATES: tuple[State, ...] = ("waiting", "active", "delayed", "paused", "completed", "failed", "cancelled")


class Record:
    """The common part of the records of jobs and of batches."""

    __slots__ = ()
    record: dict[str, str]

    @property
    def metadata(self) -> dict[str, str]:
        """The submitter's metadata."""
        text = self.record.get("meta")
        return {} if text is None else json.loads(text)

    def moment(self, field: str) -> int | None:
        """Return a time of the record in ms, or None when it has not come."""
        value = self.record.get(field)
        return None if value is None else int(value)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a job: times in ms, `code` None for a success; `seen` as in `claims.finish`.

    An attempt that does not count was refused for a reason that holds the whole queue.
    """

    began: int
    ended: int
    code: str | None
    counts: bool
    seen: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredJob(Record):
    """A stored job: the fields of its record, its result if it has one, and its place in the queue if it waits."""

    job_id: str
    record: dict[str, str]
    result: dict[str, Any] | None
    position: int | None
    # Since when no live worker has a sandbox for it, in ms; None when one has, or the job needs none.
    without_sandbox_since: int | None = None

    @property
    def error(self) -> dict[str, Any] | None:
        """The error of a failed job."""
        text = self.record.get("error")
        return None if text is None else json.loads(text)

    @property
    def ended(self) -> bool:
        """Whether its state is final."""
        return self.record["state"] in TERMINAL

    @property
    def starts(self) -> int | None:
        """The time until which it is delayed, in ms; None when it is not."""
        return self.moment("due") if self.record["state"] == "delayed" else None

    @property
    def mcp(self) -> dict[str, Any]:
        """The MCP servers that it is routed to, `servers`, and the reasons, `scores`."""
        text = self.record.get("mcp")
        return {"servers": [], "scores": []} if text is None else json.loads(text)

    @property
    def waiting(self) -> dict[str, Any] | None:
        """The reason of a wait for Claude while it runs, or for a sandbox: `code`, and `since` and `retryAt` in ms."""
        if self.without_sandbox_since is not None:
            return {"code": "sandbox_unavailable", "since": self.without_sandbox_since, "retryAt": None}
        text = self.record.get("waiting") if self.record["state"] == "active" else None
        return None if text is None else json.loads(text)

    @property
    def pending(self) -> dict[str, Any] | None:
        """The call that a paused job waits for: `id`, `kind`, `tool`, `input`, `askedAt` and `expiresAt` in ms."""
        return json.loads(self.record["pause"]) if self.record["state"] == "paused" else None

    @property
    def pauses(self) -> list[dict[str, Any]]:
        """The last pauses that have ended, oldest first, see pause_history.lua; times in ms."""
        return [json.loads(line) for line in self.record.get("pauses", "").split("\n") if line]

    @property
    def unavailable(self) -> list[str]:
        """The MCP servers of the job that did not start or died."""
        found: list[str] = json.loads(self.record.get("absent", "[]"))
        return found

    @property
    def attempts(self) -> "list[Attempt]":
        """The attempts that the record keeps, oldest first."""
        lines = (line.split(" ", 4) for line in self.record.get("tried", "").splitlines())
        return [
            Attempt(int(began), int(ended), None if code == "-" else code, counts == "1", json.loads(seen))
            for began, ended, code, counts, seen in lines
        ]

    def is_of(self, caller: str | None, now: int) -> bool:
        """Return whether a caller can see it: its own job, and none whose time is over; None can see every caller's.

        `now` is in ms by Redis's clock.
        """
        owner = self.record.get("caller")
        seen = owner is not None and caller in {None, owner}
        return seen and int(self.record.get("expires", 1 << 60)) > now


async def read(client: redis.asyncio.Redis, job_id: str, caller: str | None) -> StoredJob | None:
    """Read one of a caller's jobs, or any job when the caller is None; None when there is no such job.

    One round trip, two for a large result.
    """
    # Not a transaction, which a full store refuses even for reads. The record comes first: a job that has completed
    # has its result, and a result that came after the record was read is not shown.
    place = ("ZRANK", keys.WAITING, job_id)
    sandboxed = ("GET", keys.SANDBOXED)
    record, result, position, announced, time = await get(client, *_parts(job_id), place, sandboxed, clock.TIME)
    job = _stored(job_id, record, await _whole(client, job_id, result), position)
    now = clock.milliseconds(time)
    if job.record.get("state") == "waiting" and "sandbox" in job.record:
        job = replace(job, without_sandbox_since=_without_sandbox_since(job, announced, now))
    return job if job.is_of(caller, now) else None


def _without_sandbox_since(job: StoredJob, announced: str | None, now: int) -> int | None:
    lost = 0 if announced is None else int(announced) + ALIVE_FOR
    return None if lost > now else max(lost, job.moment("created") or 0)


async def read_with_request(
    client: redis.asyncio.Redis, job_id: str, caller: str
) -> tuple[StoredJob, dict[str, Any]] | None:
    """Read one of a caller's jobs and its request, as the worker reads it; see `read`."""
    record, result, request, time = await get(client, *_parts(job_id), ("GET", keys.job_input(job_id)), clock.TIME)
    job = _stored(job_id, record, await _whole(client, job_id, result))
    return (job, json.loads(request or "{}")) if job.is_of(caller, clock.milliseconds(time)) else None


async def read_many(client: redis.asyncio.Redis, job_ids: Sequence[str]) -> list[StoredJob | None]:
    """Read jobs of any caller with their results, in one round trip; None for a job that is gone."""
    # In a pipeline of their own, since together they are large.
    async with client.pipeline(transaction=False) as pipe:
        for job_id in job_ids:
            pipe.hgetall(keys.job(job_id))
            pipe.get(keys.job_output(job_id))
        replies = await pipe.execute()
    found = zip(job_ids, replies[::2], replies[1::2], strict=True)
    return [_stored(job_id, record, result) if record else None for job_id, record, result in found]


def _parts(job_id: str) -> tuple[Command, Command]:
    return ("HGETALL", keys.job(job_id)), ("GETRANGE", keys.job_output(job_id), 0, _SMALL - 1)


async def _whole(client: redis.asyncio.Redis, job_id: str, beginning: bytes) -> str | bytes | None:
    return beginning.decode() if len(beginning) < _SMALL else await client.get(keys.job_output(job_id))


def _stored(job_id: str, record: dict[str, str], result: str | bytes | None, position: int | None = None) -> StoredJob:
    state = record.get("state")
    shown = json.loads(result) if result and state == "completed" else None
    return StoredJob(job_id, record, shown, position if state == "waiting" else None)


async def request_of(client: redis.asyncio.Redis, job_id: str) -> dict[str, Any]:
    """Return the request of a job, as the worker reads it; empty when it is gone."""
    [text] = await get(client, ("GET", keys.job_input(job_id)))
    return {} if text is None else json.loads(text)


async def cancel(
    client: redis.asyncio.Redis, job_id: str, caller: str, *, keep_for: int
) -> Literal["cancelled", "finished", "missing"]:
    """Cancel one of a caller's jobs; it stays readable for `keep_for` s."""
    answer: Literal["cancelled", "finished", "missing"] = await scripts.run(
        client, "cancel", job_id=job_id, caller=caller, keep_ms=keep_for * 1000
    )
    return answer


async def page(
    client: redis.asyncio.Redis,
    caller: str,
    *,
    state: State | None,
    limit: int,
    before: int | None,
    schedule: str = "",
) -> tuple[list[StoredJob], int | None]:
    """List a caller's jobs, newest first, without their results, in two round trips.

    With `schedule` only the jobs that it made.
    `before` is the place where an earlier page ended. Also return the place where this page ended; None at the end.
    """
    states = (state,) if state else STATES
    # One more than the page holds shows whether there is a next page.
    edge = "+inf" if before is None else f"({before}"
    flat = await scripts.run(
        client, "page", caller=caller, schedule=schedule, most=limit + 1, before=edge, states=states
    )
    found = [(flat[index], int(flat[index + 1])) for index in range(0, len(flat), 2)]
    if not found:
        return [], None
    shown = found[:limit]
    reads = ((("HGETALL", keys.job(job_id)), ("ZRANK", keys.WAITING, job_id)) for job_id, _ in shown)
    time, *replies = await get(client, clock.TIME, *(command for pair in reads for command in pair))
    jobs = [
        StoredJob(job_id, replies[2 * index], None, replies[2 * index + 1]) for index, (job_id, _) in enumerate(shown)
    ]
    now = clock.milliseconds(time)
    return [job for job in jobs if job.is_of(caller, now)], shown[-1][1] if len(found) > limit else None
