"""Batches: many jobs accepted at once, counted as they end, and told of once."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import redis.asyncio
from pydantic_core import to_json

from shared.store import keys
from shared.store.callers import callers
from shared.store.jobs import records
from shared.store.jobs.records import Record, StoredJob
from shared.store.jobs.submissions import Submission
from shared.store.redis import scripts
from shared.store.redis.pipelining import get

# The event of a batch's webhook.
ENDED = "batch.ended"
# Jobs that are cancelled in one step, and results that are read in one.
_CANCELLED_AT_ONCE, _READ_AT_ONCE = 100, 50
# A client that reads slowly is still sent what was read so long ago, before its key is checked again; s.
_CHECK_EVERY = 2.0


@dataclass(frozen=True, slots=True)
class Batch:
    """What a client asks for: a submission and the caller's own name for each query, `""` for none.

    The first submission's limits hold for all. `hook` is told when the last has ended. `metadata` is JSON.
    """

    batch_id: str
    request_id: str
    items: Sequence[tuple[Submission, str]]
    hook: str = ""
    host: str = ""
    metadata: str = ""
    idempotency: str = ""
    body: str = ""

    @property
    def arguments(self) -> list[str]:
        """What the script is given."""
        first = self.items[0][0]
        ask = {
            "batchId": self.batch_id, "requestId": self.request_id, "caller": first.caller,
            "maxWaiting": first.max_waiting, "rate": first.rate, "window": first.window, "budget": first.budget,
            "idempotency": self.idempotency, "body": self.body, "hook": self.hook, "host": self.host,
            "meta": self.metadata,
        }  # fmt: skip
        flat = [to_json(ask).decode()]
        for submission, name in self.items:
            flat += [*submission.arguments, name]
        return flat


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a batch; `request_id`, `at`, `left` and `reset` (ms) as for a submission.

    For `no_credential`, `at` is the place of the first query whose credential is missing.
    """

    kind: Literal["queued", "replayed", "full", "mismatch", "limited", "broke", "revoked", "no_credential"]
    batch_id: str
    request_id: str
    at: int
    left: int
    reset: int


@dataclass(frozen=True, slots=True)
class StoredBatch(Record):
    """A batch as it stands: the fields of its record, and how many of its jobs have which state."""

    batch_id: str
    record: dict[str, str]
    counts: dict[str, int]

    @property
    def ended(self) -> bool:
        """Whether all of its jobs have."""
        return "finished" in self.record


async def create(client: redis.asyncio.Redis, batch: Batch) -> Answer:
    """Accept a batch in one round trip, whole or not at all; safe to send twice."""
    return Answer(*await scripts.run(client, "batch", *batch.arguments))


def accepted(batch: Batch, answer: Answer) -> StoredBatch:
    """Return a batch as it was accepted, whatever has become of it since."""
    record = {"req": answer.request_id, "created": str(answer.at), "meta": batch.metadata or "{}"}
    total = len(batch.items)
    counts = {"total": total, "waiting": total, "active": 0, "delayed": 0, "completed": 0, "failed": 0, "cancelled": 0}
    return StoredBatch(answer.batch_id, record, counts)


async def read(client: redis.asyncio.Redis, batch_id: str, caller: str, *, expired: bool = False) -> StoredBatch | None:
    """Look at one of a caller's batches, at one moment; None when there is none to see.

    With `expired` one is seen whose time is over, and which something keeps.
    """
    seen = await scripts.run(client, "read_batch", batch_id, caller, int(expired))
    if seen is None:
        return None
    waiting, active, delayed, *flat = seen
    record = dict(zip(flat[::2], flat[1::2], strict=True))
    ended = {state: int(record[state]) for state in ("completed", "failed", "cancelled")}
    counts = {"total": int(record["total"]), "waiting": waiting, "active": active, "delayed": delayed, **ended}
    return StoredBatch(batch_id, record, counts)


async def page(
    client: redis.asyncio.Redis, caller: str, *, limit: int, before: str | None, after: str | None
) -> tuple[list[StoredBatch], bool]:
    """List a caller's batches, newest first, before one, or after one in time; and whether more follow."""
    name = keys.batches(caller)
    # One that is not there any more was older than all that are.
    edge = before or after
    place = (edge and await client.zscore(name, edge)) or "-inf"
    if before:
        found = await client.zrange(name, f"({place}", "-inf", desc=True, byscore=True, offset=0, num=limit + 1)
    elif after:
        found = await client.zrange(name, f"({place}", "+inf", byscore=True, offset=0, num=limit + 1)
    else:
        found = await client.zrange(name, "+inf", "-inf", desc=True, byscore=True, offset=0, num=limit + 1)
    shown = found[:limit][::-1] if after else found[:limit]
    read_all = await asyncio.gather(*(read(client, str(one), caller) for one in shown))
    return [one for one in read_all if one is not None], len(found) > limit


async def listed(
    client: redis.asyncio.Redis, caller: str, *, limit: int, before: int | None
) -> tuple[list[tuple[StoredBatch, int]], int | None]:
    """List a caller's batches, newest first, each with its place, from where an earlier page ended.

    Also return where this one ended; None at the end.
    """
    edge = "+inf" if before is None else f"({before}"
    found = await client.zrange(
        keys.batches(caller), edge, "-inf", desc=True, byscore=True, offset=0, num=limit + 1, withscores=True
    )  # fmt: skip
    shown = cast("list[tuple[str, float]]", found[:limit])
    read_all = await asyncio.gather(*(read(client, one, caller) for one, _ in shown))
    placed = [(batch, int(place)) for batch, (_, place) in zip(read_all, shown, strict=True) if batch is not None]
    return placed, int(shown[-1][1]) if len(found) > limit else None


async def results(
    client: redis.asyncio.Redis, batch_id: str, caller: str, first: int = 0
) -> AsyncIterator[tuple[str, str, StoredJob | None]]:
    """Yield each job of a batch in the order of its queries, from `first` on: its id, its name, and the job or None.

    Raises KeyRevoked when the caller's key is revoked meanwhile.
    """
    name = keys.batch_jobs(batch_id)
    while True:
        reading = get(client, ("LRANGE", name, first, first + _READ_AT_ONCE - 1))
        [entries] = await callers.checked(client, caller, reading)
        if not entries:
            return
        checked = time.monotonic()
        parts = [entry.partition(" ") for entry in entries]
        found = await records.read_many(client, [job_id for job_id, _, _ in parts])
        for (job_id, _, given), job in zip(parts, found, strict=True):
            if time.monotonic() - checked > _CHECK_EVERY:
                await callers.check(client, caller)
                checked = time.monotonic()
            yield job_id, given, job
        first += _READ_AT_ONCE


async def cancel(client: redis.asyncio.Redis, batch_id: str, caller: str, *, keep_for: int) -> bool:
    """Cancel all jobs of a caller's batch that have not ended, readable for `keep_for` s; False when there is none."""
    first = 0
    while True:
        more = await scripts.run(client, "cancel_batch", batch_id, caller, keep_for * 1000, first, _CANCELLED_AT_ONCE)
        if more == "missing":
            return False
        if not more:
            return True
        first += _CANCELLED_AT_ONCE
