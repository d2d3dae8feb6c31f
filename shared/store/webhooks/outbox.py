"""What the deliverer does with webhooks: lease those that are due, read what they tell, and record each try."""

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

# Longer than a try takes: one that is not recorded by then is made again by whoever is there; ms.
LEASE = 30_000

TryOutcome = Literal["delivered", "retried", "abandoned"]


@dataclass(frozen=True, slots=True)
class Leased:
    """A webhook that is ours to try, by its name; `number` is the fence of what is recorded of it."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook with all that its event holds: the job or the batch that has ended, and the submission's metadata.

    `at` is in ms; `secrets` are the caller's, the newest first.
    """

    leased: Leased
    request_id: str
    url: str
    host: str
    event: str
    at: int
    tries: int
    caller: str
    metadata: dict[str, str]
    secrets: list[str]
    subject: StoredJob | StoredBatch


@dataclass(frozen=True, slots=True)
class Seen:
    """What a try saw: never anything of an answer's body."""

    status: int | None
    error: str | None
    duration: int


_SPARED = Seen(None, "not tried: the host is paused, because nothing has reached it for long", 0)


async def due(client: redis.asyncio.Redis) -> AsyncIterator[None]:
    """Yield at the start, and whenever a webhook may have become due; ends with an error of the connection."""
    async with client.pubsub() as channel:
        await channel.subscribe(keys.WEBHOOK_DUE)
        async for _ in channel.listen():
            yield


async def lease(
    client: redis.asyncio.Redis,
    free: int,
    busy: Mapping[str, Mapping[str, int]],
    *,
    per_host: int,
    lease_for: int = LEASE,
) -> tuple[list[Leased], float | None]:
    """Take webhooks that are due for `free` places; also return s until the next is, None when none is known.

    `busy` is how many of each caller's hosts are being tried here already. A caller holds at most as many places as are
    left free, and `per_host` for one host.
    """
    wait, *flat = await scripts.run(
        client, "lease", free=free, lease_ms=lease_for, per_host=per_host, busy=json.dumps(busy),
        spared=json.dumps(asdict(_SPARED)),
    )  # fmt: skip
    leased = [Leased(flat[index], flat[index + 1]) for index in range(0, len(flat), 2)]
    return leased, None if wait < 0 else wait / 1000


async def read(client: redis.asyncio.Redis, leased: Leased) -> Webhook | None:
    """Read a webhook and its subject, in two round trips, three for a batch; None when its job or batch is gone."""
    names = ("job", "caller", "req", "url", "host", "event", "at", "tries", "meta")
    found = cast("list[Any]", await client.hmget(keys.hook(leased.name), names))
    job_id, caller, request_id, url, host, event, at, tries, metadata = found
    if job_id is None:
        return None
    subject: StoredJob | StoredBatch | None
    async with client.pipeline(transaction=False) as pipe:
        pipe.get(keys.secret(caller))
        pipe.time()
        if event != batches.ENDED:
            pipe.hgetall(keys.job(job_id))
            pipe.get(keys.job_output(job_id))
        secrets, time, *parts = await pipe.execute()
    if event == batches.ENDED:
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
        tries=int(tries),
        caller=caller,
        metadata=json.loads(metadata or "{}"),
        secrets=signing_secrets.valid(secrets, clock.milliseconds(time)),
        subject=subject,
    )


async def record(
    client: redis.asyncio.Redis, leased: Leased, outcome: TryOutcome, seen: Seen, *, pause: int, disable_after: int
) -> bool:
    """Record a try, and let the next come after `pause` s; False when the lease is another's by now.

    After `disable_after` s of nothing but failures the host is paused. Safe to send twice.
    """
    recorded = await scripts.run(
        client, "settle_delivery", name=leased.name, number=leased.number, outcome=outcome, pause_ms=pause * 1000,
        seen=json.dumps(asdict(seen)), disable_ms=disable_after * 1000,
    )  # fmt: skip
    return bool(recorded)
