"""What the deliverer does with webhooks: lease those that are due, read what they tell, and record each try."""

import json
from collections.abc import Mapping
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
    """What is told to whom: a submission's metadata, and `at` in ms; `secrets` are the caller's, the newest first.

    With a `batch` it is that which has ended, and there is no job.
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
    job: StoredJob
    batch: StoredBatch | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a try saw: never anything of an answer's body."""

    status: int | None
    error: str | None
    duration: int


_SPARED = Seen(None, "not tried: the host is paused, because nothing has reached it for long", 0)


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
    spared = json.dumps(asdict(_SPARED))
    wait, *flat = await scripts.run(client, "lease", free, lease_for, per_host, json.dumps(busy), spared)
    leased = [Leased(flat[index], flat[index + 1]) for index in range(0, len(flat), 2)]
    return leased, None if wait < 0 else wait / 1000


async def read(client: redis.asyncio.Redis, leased: Leased) -> Webhook | None:
    """Read what a webhook tells, in two round trips; None when it went with its job."""
    names = ("job", "caller", "req", "url", "host", "event", "at", "tries", "meta")
    found = cast("list[Any]", await client.hmget(keys.hook(leased.name), names))
    job_id, caller, request_id, url, host, event, at, tries, metadata = found
    if job_id is None:
        return None
    async with client.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.job(job_id))
        pipe.get(keys.job_output(job_id))
        pipe.get(keys.secret(caller))
        pipe.time()
        record, result, secrets, time = await pipe.execute()
    batch = await batches.read(client, job_id, caller, expired=True) if event == batches.ENDED else None
    if event == batches.ENDED and batch is None:
        return None
    return Webhook(
        batch=batch,
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
        job=StoredJob(job_id, record, json.loads(result) if result else None, None),
    )


async def record(
    client: redis.asyncio.Redis, leased: Leased, outcome: TryOutcome, seen: Seen, *, pause: int, disable_after: int
) -> bool:
    """Record a try, and let the next come after `pause` s; False when the lease is another's by now.

    After `disable_after` s of nothing but failures the host is paused. Safe to send twice.
    """
    told: dict[str, Any] = asdict(seen)
    args = (leased.name, leased.number, outcome, pause * 1000, json.dumps(told), disable_after * 1000)
    return bool(await scripts.run(client, "settle_delivery", *args))
