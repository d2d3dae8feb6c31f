"""Find jobs of all callers by what operators know of them, in bounded steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import redis.asyncio

from shared.store import keys
from shared.store.jobs.records import STATES, StoredJob
from shared.store.redis import clock, scripts
from shared.store.redis.ordered_replies import Command
from shared.store.redis.pipelining import get

# Records that one script examines, which takes about 6 ms of Redis.
EXAMINED = 500
# Bytes of a request that are read for a list.
BEGINNING = 4096


class Wanted(NamedTuple):
    """What a job must have; find.lua describes the fields. An empty value stands for any."""

    id: str = ""
    caller: str = ""
    code: str = ""
    model: str = ""
    batch: str = ""
    schedule: str = ""
    session: str = ""
    created_since: int = 0
    created_until: int = 0
    as_of: int = 0
    metadata: Sequence[str] = ()
    states: Sequence[str] = STATES


@dataclass(frozen=True, slots=True)
class Found:
    """The jobs of one search: their ids, each with the name of its caller, `""` without one.

    `end` is the place where the search ended, None at the end of the list. `time` is that of Redis in ms.
    """

    time: int
    examined: int
    end: int | None
    callers: dict[str, str]


class Row(NamedTuple):
    """A job for a list, and the beginning of its request as JSON, empty when it is gone."""

    job: StoredJob
    request: bytes


async def find(client: redis.asyncio.Redis, wanted: Wanted, *, most: int, before: int | None) -> Found:
    """Find jobs, newest first, in one round trip. An `end` may follow fewer than `most`: the search continues there."""
    edge = "+inf" if before is None else f"({before}"
    time, examined, end, *flat = await scripts.run(
        client, "find", wanted=wanted._asdict(), most=most, examine=EXAMINED, before=edge
    )
    return Found(time, examined, int(end) if end else None, dict(zip(flat[::2], flat[1::2], strict=True)))


async def rows(client: redis.asyncio.Redis, job_ids: Sequence[str]) -> list[Row]:
    """Read jobs for a list, in one round trip; those that are gone are left out."""
    if not job_ids:
        return []
    commands: list[Command] = []
    for job_id in job_ids:
        commands += [
            ("HGETALL", keys.job(job_id)),
            ("ZRANK", keys.WAITING, job_id),
            ("GETRANGE", keys.job_input(job_id), 0, BEGINNING - 1),
        ]
    time, *replies = await get(client, clock.TIME, *commands)
    now = clock.milliseconds(time)
    places = range(0, len(replies), 3)
    found = [
        Row(StoredJob(job_id, replies[place], None, replies[place + 1]), replies[place + 2])
        for job_id, place in zip(job_ids, places, strict=True)
    ]
    return [row for row in found if row.job.is_of(None, now)]


async def states(client: redis.asyncio.Redis, job_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the state and the caller of those jobs that are there, in one round trip."""
    time, *replies = await get(
        client, clock.TIME, *(("HMGET", keys.job(job_id), "state", "caller", "expires") for job_id in job_ids)
    )
    now = clock.milliseconds(time)
    return {
        job_id: (state, caller)
        for job_id, (state, caller, expires) in zip(job_ids, replies, strict=True)
        if state is not None and int(expires or 1 << 60) > now
    }
