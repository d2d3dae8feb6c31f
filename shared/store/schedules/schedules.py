"""Schedules in the store.

cg:schedules             zset  every schedule: id → seq
cg:schedules:of:CALLER   zset  those of a caller
cg:schedules:due         zset  those that are not paused: id → ms of the next due time, or of the end of a lease
cg:schedule:ID           hash  v caller name cron tz overlap catchup query (JSON) label hook host rev created updated
                               next (ms, 0 for none) paused (why, empty while it is not) seq failures (in a row)
                               size (bytes of the definition) bytes (with its runs) last (its last job)
cg:schedule:ID:runs      list  its last runs, see schedule_runs.lua
cg:schedule:ID:jobs      zset  its jobs that are not deleted: id → seq
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import redis.asyncio

from shared.store import keys
from shared.store.jobs.submissions import Limits, Submission
from shared.store.redis import scripts
from shared.store.redis.pipelining import get

_SCHEDULES = f"{keys.PREFIX}schedules"


def _record(schedule_id: str) -> str:
    return f"{keys.PREFIX}schedule:{schedule_id}"


def _runs(schedule_id: str) -> str:
    return f"{keys.PREFIX}schedule:{schedule_id}:runs"


def _of(caller: str) -> str:
    return f"{keys.PREFIX}schedules:of:{caller}"


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """A stored schedule: the fields of its record."""

    schedule_id: str
    record: dict[str, str]

    @property
    def query(self) -> dict[str, Any]:
        """The query that each run submits."""
        found: dict[str, Any] = json.loads(self.record["query"])
        return found

    @property
    def paused(self) -> str:
        """Why it is paused; empty while it is not."""
        return self.record["paused"]

    @property
    def due(self) -> int:
        """The time of its next run in ms, 0 for none."""
        return int(self.record["next"])

    @property
    def revision(self) -> int:
        """The number of the definition, which every change of it raises."""
        return int(self.record["rev"])


class Definition(NamedTuple):
    """What a client defines; put_schedule.lua describes the fields. `query` is JSON."""

    schedule_id: str
    caller: str
    revision: int
    name: str
    cron: str
    timezone: str
    overlap: str
    catch_up: str
    next: int
    query: str
    paused: str = ""
    webhook_url: str = ""
    webhook_host: str = ""
    label: str = ""
    max_bytes: int = 0
    idempotency: str = ""
    request_id: str = ""
    body: str = ""

    @property
    def fields(self) -> dict[str, Any]:
        """The fields that the script reads by name: all but the query, which it only stores."""
        return {name: value for name, value in self._asdict().items() if name != "query"}


class Run(NamedTuple):
    """A due time that is carried out, or a run by hand; run_schedule.lua describes the fields."""

    schedule_id: str
    caller: str
    revision: int
    due: int = 0
    latest: int = 0
    next: int = 0
    is_missed: bool = False
    code: str = ""
    detail: str = ""


class Answer(NamedTuple):
    """What has become of a run; the kind is that of a submission, or one of run_schedule.lua."""

    kind: str
    request_id: str
    job_id: str
    left: int
    reset: int


class PastRun(NamedTuple):
    """A run that a schedule keeps; times in ms, `state` that of its job, or refused, skipped or missed."""

    state: str
    at: int
    due: int | None = None
    job: str | None = None
    started: int | None = None
    finished: int | None = None
    cost: float | None = None
    code: str | None = None
    detail: str | None = None


class Due(NamedTuple):
    """Schedules that are due; `now` in ms, and the ms until the next one is due, None for none."""

    now: int
    wait: int | None
    schedules: list[StoredSchedule]


Put = Literal["stored", "replayed", "mismatch", "caller_bytes", "revoked", "changed"]


async def put(client: redis.asyncio.Redis, definition: Definition) -> tuple[Put, str]:
    """Create or replace a schedule in one round trip; return what happened, and its id."""
    kind, schedule_id = await scripts.run(client, "put_schedule", schedule=definition.fields, query=definition.query)
    return cast("Put", kind), schedule_id


async def delete(client: redis.asyncio.Redis, schedule_id: str, caller: str) -> bool:
    """Delete one of a caller's schedules; return whether there was one."""
    return bool(await scripts.run(client, "delete_schedule", schedule_id=schedule_id, caller=caller))


async def read(client: redis.asyncio.Redis, schedule_id: str, caller: str | None) -> StoredSchedule | None:
    """Read one of a caller's schedules, or any one when the caller is None; None when there is no such schedule."""
    [record] = await get(client, ("HGETALL", _record(schedule_id)))
    return StoredSchedule(schedule_id, record) if record and caller in {None, record["caller"]} else None


async def page(
    client: redis.asyncio.Redis, caller: str | None, *, limit: int, before: int | None
) -> tuple[list[StoredSchedule], int | None]:
    """List a caller's schedules, or all, newest first; also return the place where the page ended, None at the end."""
    found = cast(
        "list[tuple[str, float]]",
        await client.zrange(
            _SCHEDULES if caller is None else _of(caller), "+inf" if before is None else f"({before}", "-inf",
            desc=True, byscore=True, offset=0, num=limit + 1, withscores=True,
        ),
    )  # fmt: skip
    shown = found[:limit]
    records = await get(client, *(("HGETALL", _record(one)) for one, _ in shown)) if shown else []
    every = [StoredSchedule(one, record) for (one, _), record in zip(shown, records, strict=True) if record]
    return every, int(shown[-1][1]) if len(found) > limit else None


async def runs(client: redis.asyncio.Redis, schedule_id: str, most: int = 100) -> list[PastRun]:
    """List the last runs of a schedule, the newest first; those that have not ended with the present state."""
    [texts] = await get(client, ("LRANGE", _runs(schedule_id), 0, most - 1))
    known = [PastRun(**json.loads(text)) for text in texts]
    open_jobs = [one.job for one in known if one.job and one.finished is None and one.state != "skipped"]
    reads = (("HMGET", keys.job(job), "state", "started", "cost") for job in open_jobs)
    states = dict(zip(open_jobs, await get(client, *reads) if open_jobs else [], strict=True))
    return [_now(one, states.get(one.job or "")) for one in known]


def _now(run: PastRun, found: Sequence[str | None] | None) -> PastRun:
    if found is None or found[0] is None or run.finished is not None or run.state == "skipped":
        return run
    state, started, cost = found
    return run._replace(state=str(state), started=int(started) if started else None, cost=float(cost) if cost else None)


async def due(client: redis.asyncio.Redis, *, most: int, lease_for: int) -> Due:
    """Lease up to `most` due schedules for `lease_for` ms, in one round trip."""
    now, wait, *found = await scripts.run(client, "due_schedules", most=most, lease_ms=lease_for)
    records = [StoredSchedule(one[0], dict(zip(one[1::2], one[2::2], strict=True))) for one in found]
    return Due(now, None if wait < 0 else wait, records)


async def carry_out(client: redis.asyncio.Redis, run: Run, submission: Submission | None, limits: Limits) -> Answer:
    """Make the job of a run, or record why there is none, in one round trip; safe to send twice."""
    fields = "{}" if submission is None else scripts.encode("submit", "submission", submission.fields)
    reply = await scripts.run(
        client, "run_schedule", run=run._asdict(), submission=fields, limits=json.dumps(limits.fields),
        request=submission.request if submission else "", metadata=submission.metadata if submission else "",
    )  # fmt: skip
    return Answer(*reply)
