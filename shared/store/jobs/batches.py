"""Batches: many jobs accepted at once, counted as they end, with one webhook at the end of the last."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import redis.asyncio

from shared.store import keys
from shared.store.callers import callers
from shared.store.jobs import records
from shared.store.jobs.records import Record, StoredJob
from shared.store.jobs.submissions import Kind, Limits, Submission
from shared.store.redis import scripts
from shared.store.redis.pipelining import get

# zset: id of a batch of any caller → seq.
ALL = keys.PREFIX + "batches:all"
# The event of a batch's webhook.
ENDED = "batch.ended"
# Jobs that one script cancels, and results that one round trip reads.
_CANCEL_AT_ONCE, _READ_AT_ONCE = 100, 50
# A slow client may get results that were read so long ago, s, before its key is checked again.
_CHECK_EVERY = 2.0


class Batch(NamedTuple):
    """A batch that a client asks for. batch.lua describes the fields; `metadata` is JSON.

    `queries` has a submission for each query, and the caller's own name for it, or `""`.
    """

    batch_id: str
    request_id: str
    caller: str
    queries: Sequence[tuple[Submission, str]]
    webhook_url: str = ""
    webhook_host: str = ""
    metadata: str = ""
    idempotency: str = ""
    body: str = ""
    trace: str = ""

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the batch itself."""
        return {name: value for name, value in self._asdict().items() if name != "queries"}


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a batch; `request_id`, `at`, `left` and `reset` (ms) as for a submission.

    For a refusal of a credential or a file, `at` is the place of the first refused query. For that of a file,
    `batch_id` is the place of the file in the query, and for that of a credential its name.
    """

    kind: Kind | Literal["replayed"]
    batch_id: str
    request_id: str
    at: int
    left: int
    reset: int


@dataclass(frozen=True, slots=True)
class StoredBatch(Record):
    """A stored batch: the fields of its record, and the number of its jobs in each state."""

    batch_id: str
    record: dict[str, str]
    counts: dict[str, int]

    @property
    def ended(self) -> bool:
        """Whether all of its jobs have ended."""
        return "finished" in self.record


async def create(client: redis.asyncio.Redis, batch: Batch, limits: Limits) -> Answer:
    """Accept a batch in one round trip, whole or not at all; safe to send twice."""
    queries: list[str] = []
    for submission, name in batch.queries:
        fields = scripts.encode("submit", "submission", submission.fields)
        queries += [fields, submission.request, submission.metadata, name]
    return Answer(*await scripts.run(client, "batch", batch=batch.fields, limits=limits.fields, queries=queries))


def accepted(batch: Batch, answer: Answer) -> StoredBatch:
    """Return a batch as it was when it was accepted."""
    record = {"req": answer.request_id, "created": str(answer.at), "meta": batch.metadata or "{}"}
    total = len(batch.queries)
    delayed = sum(one.run_at > answer.at for one, _ in batch.queries)
    counts = {
        "total": total,
        "waiting": total - delayed,
        "active": 0,
        "delayed": delayed,
        "paused": 0,
        "completed": 0,
        "failed": 0,
        "cancelled": 0,
    }
    return StoredBatch(answer.batch_id, record, counts)


async def read(client: redis.asyncio.Redis, batch_id: str, caller: str, *, expired: bool = False) -> StoredBatch | None:
    """Read one of a caller's batches, at one moment; None when the caller has no such batch.

    With `expired`, read also a batch whose time is over and that a pending webhook keeps.
    """
    reply = await scripts.run(client, "read_batch", batch_id=batch_id, caller=caller, expired=int(expired))
    if reply is None:
        return None
    waiting, active, delayed, paused, *flat = reply
    record = dict(zip(flat[::2], flat[1::2], strict=True))
    ended = {state: int(record[state]) for state in ("completed", "failed", "cancelled")}
    total = int(record["total"])
    counts = {"total": total, "waiting": waiting, "active": active, "delayed": delayed, "paused": paused, **ended}
    return StoredBatch(batch_id, record, counts)


async def page(
    client: redis.asyncio.Redis, caller: str, *, limit: int, before: str | None, after: str | None
) -> tuple[list[StoredBatch], bool]:
    """List a caller's batches, newest first, before one batch or after it in time; and whether more follow."""
    name = keys.batches(caller)
    # A batch that is gone was older than all that are there.
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
    """List a caller's batches, newest first, each with its place, from the place where an earlier page ended.

    Also return the place where this page ended; None at the end of the list.
    """
    edge = "+inf" if before is None else f"({before}"
    found = await client.zrange(
        keys.batches(caller), edge, "-inf", desc=True, byscore=True, offset=0, num=limit + 1, withscores=True
    )  # fmt: skip
    shown = cast("list[tuple[str, float]]", found[:limit])
    read_all = await asyncio.gather(*(read(client, one, caller) for one, _ in shown))
    placed = [(batch, int(place)) for batch, (_, place) in zip(read_all, shown, strict=True) if batch is not None]
    return placed, int(shown[-1][1]) if len(found) > limit else None


async def every(client: redis.asyncio.Redis, *, limit: int, before: int | None) -> tuple[list[StoredBatch], int | None]:
    """List the batches of all callers, newest first, without the states of unfinished jobs.

    Also return the place where this page ended; None at the end of the list.
    """
    edge = "+inf" if before is None else f"({before}"
    found = await client.zrange(
        ALL, edge, "-inf", desc=True, byscore=True, offset=0, num=limit + 1, withscores=True
    )  # fmt: skip
    shown = cast("list[tuple[str, float]]", found[:limit])
    flat = await get(client, *(("HGETALL", f"{keys.PREFIX}batch:{one}") for one, _ in shown)) if shown else []
    names = ("total", "left", "completed", "failed", "cancelled")
    records_ = [(one, record) for (one, _), record in zip(shown, flat, strict=True) if record]
    read_all = [StoredBatch(one, record, {name: int(record[name]) for name in names}) for one, record in records_]
    return read_all, int(shown[-1][1]) if len(found) > limit else None


async def results(
    client: redis.asyncio.Redis, batch_id: str, caller: str, first: int = 0
) -> AsyncIterator[tuple[str, str, StoredJob | None]]:
    """Yield each job of a batch in the order of its queries, from `first` on: its id, its name, and the job or None.

    Raises KeyRevoked when the caller's key is revoked while this runs.
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
        for (job_id, _, custom_id), job in zip(parts, found, strict=True):
            if time.monotonic() - checked > _CHECK_EVERY:
                await callers.check(client, caller)
                checked = time.monotonic()
            yield job_id, custom_id, job
        first += _READ_AT_ONCE


async def cancel(client: redis.asyncio.Redis, batch_id: str, caller: str, *, keep_for: int) -> bool:
    """Cancel all unfinished jobs of a caller's batch, readable for `keep_for` s; False when there is no such batch."""
    first = 0
    while True:
        more = await scripts.run(
            client, "cancel_batch", batch_id=batch_id, caller=caller, keep_ms=keep_for * 1000, first=first,
            most=_CANCEL_AT_ONCE,
        )  # fmt: skip
        if more == "missing":
            return False
        if not more:
            return True
        first += _CANCEL_AT_ONCE
