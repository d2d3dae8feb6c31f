"""Delivery attempts of a job, redelivery, and failing hosts."""

import json
from dataclasses import dataclass
from typing import Literal, cast

import redis.asyncio

from shared.store import keys
from shared.store.jobs.records import StoredJob
from shared.store.redis import clock, scripts
from shared.store.redis.pipelining import get

# Callers choose the hosts, and so how many of them fail.
_MOST_HOSTS = 1000
# Jobs whose deliveries one script reads, so that it does not block Redis for long.
_READ_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """One attempt of a delivery; times in ms, `next_at` when another is scheduled."""

    name: str
    request_id: str
    event: str
    url: str
    number: int
    status: int | None
    error: str | None
    duration: int
    at: int
    next_at: int | None


@dataclass(frozen=True, slots=True)
class FailingHost:
    """A webhook host whose latest attempts all failed; times in ms, `paused` since it gets none."""

    host: str
    failing: int
    failures: int
    paused: int | None


async def attempts(client: redis.asyncio.Redis, job_id: str, caller: str | None) -> list[DeliveryAttempt] | None:
    """List the delivery attempts of a caller's job, or of any job when the caller is None, oldest first.

    Return None when there is no such job. Two round trips, one for a job without webhooks.
    """
    fields, names, time = await get(client, ("HGETALL", keys.job(job_id)), ("SMEMBERS", keys.hooks(job_id)), clock.TIME)
    if not StoredJob(job_id, fields, None, None).is_of(caller, clock.milliseconds(time)):
        return None
    names = sorted(names)
    commands = (
        (("HMGET", keys.hook(name), "req", "event", "url", "state"), ("LRANGE", keys.delivery_attempts(name), 0, -1))
        for name in names
    )
    replies = await get(client, *(command for pair in commands for command in pair)) if names else []
    found = []
    for index, name in enumerate(names):
        (request_id, event, url, state), lines = replies[2 * index : 2 * index + 2]
        for line in lines:
            number, at, due, text = line.split("\n", 3)
            result = json.loads(text)
            last = line is lines[-1]
            next_at = int(due) if due and last and state == "pending" else None
            values = (int(number), result["status"], result["error"], result["duration"], int(at), next_at)
            found.append(DeliveryAttempt(name, request_id, event, url, *values))
    return sorted(found, key=lambda one: (one.at, one.name, one.number))


async def redeliver(
    client: redis.asyncio.Redis, job_id: str, caller: str, request_id: str | None
) -> tuple[Literal["missing", "running", "none", "queued"], list[str]]:
    """Queue the delivery of a job's end again, for one submission or for all with a webhook; return their ids."""
    answer, *ids = await scripts.run(client, "redeliver", job_id=job_id, caller=caller, request_id=request_id or "")
    return answer, ids


async def failing_hosts(client: redis.asyncio.Redis) -> list[FailingHost]:
    """List at most 1000 failing webhook hosts, the longest failing first."""
    names = sorted(cast("set[str]", await client.smembers(keys.FAILING_HOSTS)))[:_MOST_HOSTS]
    async with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hmget(keys.host(name), "failing", "failures", "paused")
        replies = await pipe.execute()
    known = [
        FailingHost(name, int(failing), int(failures), None if paused is None else int(paused))
        for name, (failing, failures, paused) in zip(names, replies, strict=True)
        if failing is not None
    ]
    return sorted(known, key=lambda host: (host.failing, host.host))


async def recover(client: redis.asyncio.Redis, since: int, host: str) -> int:
    """Redeliver the events since a time, in ms, that no attempt delivered, of one host or '' for all; return how many.

    Each event has the signature, the id and the content that it had. A host that was paused is resumed.
    """
    count = 0
    for ended in ("jobs", "batches"):
        start, read = 0, _READ_AT_ONCE
        while read == _READ_AT_ONCE:
            found, read = await scripts.run(
                client, "recover", ended=ended, start=start, most=_READ_AT_ONCE, since=since, host=host
            )
            count, start = count + found, start + read
    return count


async def resume(client: redis.asyncio.Redis, host: str) -> bool:
    """Clear a host's failures, so that it gets attempts again; False when it has none."""
    async with client.pipeline(transaction=True) as pipe:
        pipe.delete(keys.host(host))
        pipe.srem(keys.FAILING_HOSTS, host)
        removed, _ = await pipe.execute()
    return bool(removed)
