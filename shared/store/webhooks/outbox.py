"""The outbox: lease due deliveries, read them, and record each attempt.

A webhook is the outbox row of one submission, and is deleted with its job. Its NAME is the requestId, or
`requestId.ROUND` for the end of a job that was retried after its end:

    cg:hook:NAME           hash   job caller req url host meta event at state n tries attempt leased again
                                  job is empty for a `budget.warning`, whose meta is its data; deleted when it is done
                                  n is the fence of its delivery attempts; tries counts those of the schedule, attempt
                                  all of them; again is `requested`, or `during` when a redelivery was requested while
                                  an attempt ran
    cg:hook:NAME:tries     list   number, time, time of the next, and what was seen as JSON, a line each
    cg:due:CALLER:HOST     zset   NAME → ms when due, or when its lease ends
    cg:due:CALLER          zset   HOST → ms when the first of its webhooks is due
    cg:host:HOST           hash   failing (since), failures, paused (since); absent for a host that works
"""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

import redis.asyncio

from shared.store import keys
from shared.store.jobs import batches
from shared.store.jobs.batches import StoredBatch
from shared.store.jobs.records import StoredJob
from shared.store.redis import clock, scripts
from shared.store.webhooks import signing_secrets

# Milliseconds; longer than an attempt takes. An attempt that is not recorded by then is repeated.
LEASE = 30_000

AttemptOutcome = Literal["delivered", "retried", "abandoned"]


@dataclass(frozen=True, slots=True)
class Leased:
    """The lease of a delivery, by its name; `number` is the fence for its record."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class NearlySpent:
    """A caller's daily budget that is nearly spent: USD, on a day since the epoch."""

    caller: str
    day: int
    spent: float
    budget: float


@dataclass(frozen=True, slots=True)
class Paused:
    """A schedule that was paused after failures in a row; `code` is that of the last."""

    schedule: str
    name: str
    failures: int
    code: str


# The events of webhooks that belong to no job or batch, and their subjects.
WARNING = "budget.warning"
_SUBJECTS: dict[str, type[NearlySpent | Paused]] = {WARNING: NearlySpent, "schedule.paused": Paused}


@dataclass(frozen=True, slots=True)
class Webhook:
    """A delivery with all that its event holds: the job or the batch that has ended, with the submission's metadata.

    `at` is in ms; `attempts` were made in the present schedule; `secrets` are the caller's, the newest first.
    """

    leased: Leased
    request_id: str
    url: str
    host: str
    event: str
    at: int
    attempts: int
    caller: str
    metadata: dict[str, str]
    secrets: list[str]
    subject: StoredJob | StoredBatch | NearlySpent | Paused


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The response to an attempt, without its body; `duration` in ms."""

    status: int | None
    error: str | None
    duration: int


_SKIPPED = AttemptResult(None, "not tried: the host is paused, because nothing has reached it for long", 0)


async def due(client: redis.asyncio.Redis) -> AsyncIterator[None]:
    """Yield at the start, and whenever a delivery may have become due; ends with an error of the connection."""
    async with client.pubsub() as channel:
        await channel.subscribe(keys.WEBHOOK_DUE)
        async for _ in channel.listen():
            yield


async def warn_operator_at(client: redis.asyncio.Redis, target: tuple[str, str] | None) -> None:
    """Set the host and the URL that the operator gets warnings of budgets at; None for none."""
    if target is None:
        await client.delete(keys.BUDGET_WEBHOOK)
    else:
        await client.set(keys.BUDGET_WEBHOOK, " ".join(target))


async def lease(
    client: redis.asyncio.Redis,
    free: int,
    busy: Mapping[str, Mapping[str, int]],
    *,
    per_host: int,
    lease_for: int = LEASE,
) -> tuple[list[Leased], float | None]:
    """Lease due deliveries for `free` places; also return the seconds until the next is due, None if none is.

    `busy` counts the running attempts of this process by caller and host. A caller holds at most as many places as are
    left free, and `per_host` for one host.
    """
    wait, *flat = await scripts.run(
        client, "lease", free=free, lease_ms=lease_for, per_host=per_host, busy=json.dumps(busy),
        skipped=json.dumps(asdict(_SKIPPED)),
    )  # fmt: skip
    leased = [Leased(flat[index], flat[index + 1]) for index in range(0, len(flat), 2)]
    return leased, None if wait < 0 else wait / 1000


async def read(client: redis.asyncio.Redis, leased: Leased) -> Webhook | None:
    """Read a delivery and its subject, in two round trips, three for a batch; None when its job or batch is gone."""
    names = ("job", "caller", "req", "url", "host", "event", "at", "tries", "meta")
    found = cast("list[Any]", await client.hmget(keys.hook(leased.name), names))
    job_id, caller, request_id, url, host, event, at, attempts, metadata = found
    if job_id is None:
        return None
    subject: StoredJob | StoredBatch | NearlySpent | Paused | None
    async with client.pipeline(transaction=False) as pipe:
        pipe.get(keys.secret(caller))
        pipe.time()
        if event != batches.ENDED and event not in _SUBJECTS:
            pipe.hgetall(keys.job(job_id))
            pipe.get(keys.job_output(job_id))
        secrets, time, *parts = await pipe.execute()
    metadata = json.loads(metadata or "{}")
    if event in _SUBJECTS:
        subject, metadata = _SUBJECTS[event](**metadata), {}
    elif event == batches.ENDED:
        subject = await batches.read(client, job_id, caller, expired=True)
    else:
        record, result = parts
        subject = StoredJob(job_id, record, json.loads(result) if result else None, None)
    if subject is None:
        return None
    return Webhook(
        leased=leased,
        request_id=request_id,
        url=url,
        host=host,
        event=event,
        at=int(at),
        attempts=int(attempts),
        caller=caller,
        metadata=metadata,
        secrets=signing_secrets.valid(secrets, clock.milliseconds(time)),
        subject=subject,
    )


async def record(
    client: redis.asyncio.Redis,
    leased: Leased,
    outcome: AttemptOutcome,
    result: AttemptResult,
    *,
    pause: int,
    disable_after: int,
) -> bool:
    """Record an attempt and schedule the next after `pause` seconds; False when another process holds the lease.

    After `disable_after` seconds of failures alone the host is paused. Safe to send twice.
    """
    recorded = await scripts.run(
        client, "settle_delivery", name=leased.name, number=leased.number, outcome=outcome, pause_ms=pause * 1000,
        result=json.dumps(asdict(result)), disable_ms=disable_after * 1000,
    )  # fmt: skip
    return bool(recorded)
