"""What the dashboard shows and does, as plain functions."""

import asyncio
from typing import Any

from shared.api.errors import AlreadyFinished, NotFinished, NotFound
from shared.api.ids import is_id
from shared.api.times import rfc3339, when
from shared.api.views import attempts_for_operators, latest_deliveries, listed, page_of, status_of
from shared.api.vocabulary import PRIORITIES, Priority, State
from shared.configuration.settings import AdminSettings
from shared.store.callers import callers, spending
from shared.store.fleet import counters, slots
from shared.store.jobs import operations, records
from shared.store.redis.client import async_client
from shared.store.webhooks import history


async def stats(settings: AdminSettings) -> dict[str, Any]:
    """Return the deployment as a whole, and its last hour."""
    client = async_client(settings.redis_address)
    seen, health, hour, cached, hosts, spent = await asyncio.gather(
        counters.read(client),
        slots.health(client),
        operations.last_hour(client),
        operations.cached_answers(client),
        history.failing_hosts(client),
        spending.by_caller_today(client),
    )
    counts = seen.counters
    return {
        "jobs": seen.jobs,
        "oldestWaitingMs": seen.oldest,
        "held": health.hold,
        "slots": [{"slot": slot, "jobId": job or None} for slot, job in sorted(seen.slots.items())],
        "workers": [
            {"worker": one.name, "cli": one.cli, "credentials": one.credentials, "slots": one.slots}
            for one in health.workers
        ],
        "hour": [
            {"at": rfc3339(one.at), "completed": one.completed, "failed": one.failed, "cancelled": one.cancelled}
            for one in hour
        ],
        "cache": {
            "entries": cached,
            "hits": int(counts.get("cache_hits", 0)),
            "misses": int(counts.get("cache_misses", 0)),
            "savedUsd": float(counts.get("cache_saved_usd", 0)),
        },
        "costUsd": {name[5:]: float(value) for name, value in counts.items() if name.startswith("cost:")},
        "costTodayUsd": spent,
        "webhooks": {
            "pending": int(counts.get("webhooks_pending", 0)),
            "hosts": [
                {
                    "host": host.host,
                    "failures": host.failures,
                    "failingSince": rfc3339(host.failing),
                    "pausedSince": when(host.paused),
                }
                for host in hosts
            ],
        },
    }


async def job_page(
    state: State | None, limit: int, cursor: str | None, job_id: str | None, settings: AdminSettings
) -> dict[str, Any]:
    """List everybody's jobs, newest first; with `job_id`, that one if there is such a job."""
    client = async_client(settings.redis_address)
    if job_id is not None:
        one = await records.read(client, job_id, None) if is_id(job_id) else None
        found, end = ([one] if one else []), None
    else:
        before = None if cursor is None else int(cursor)
        found, end = await records.page(client, None, state=state, limit=limit, before=before)
    page, following = page_of(found, end)
    return {"jobs": [_listed(job) for job in page], "nextCursor": following}


async def job(job_id: str, settings: AdminSettings) -> dict[str, Any]:
    """Return all that is known of a job, with what was asked and answered; raises NotFound."""
    client = async_client(settings.redis_address)
    found = await _read(job_id, settings)
    caller = found.record["caller"]
    request, tries = await asyncio.gather(records.request_of(client, job_id), history.tries(client, job_id, caller))
    return {
        **status_of(found).model_dump(by_alias=True),
        "caller": caller,
        "attempts": attempts_for_operators(found),
        "slot": found.record.get("slot"),
        "workersLost": int(found.record.get("lost", 0)),
        "costUsd": float(found.record.get("cost", 0)),
        "runAnew": int(found.record.get("round", 0)),
        "request": request,
        "cached": await operations.is_cached(client, job_id, found.record.get("fp")),
        # The latest that fit: all of them are at GET /api/query/{jobId}/deliveries.
        "deliveries": [one.model_dump(by_alias=True) for one in latest_deliveries(tries or [])],
    }


async def retry(job_id: str, settings: AdminSettings) -> dict[str, Any]:
    """Let a job that failed or was cancelled run anew; raises NotFound, NotFinished, AlreadyFinished."""
    answer = await operations.run_anew(async_client(settings.redis_address), job_id) if is_id(job_id) else "missing"
    match answer:
        case "missing":
            raise NotFound("There is no such job")
        case "running":
            raise NotFinished("It waits or runs already")
        case "completed":
            raise AlreadyFinished("It has completed: there is nothing to run again")
        case "revoked":
            raise AlreadyFinished("Its caller's key is revoked: no job of this caller runs again")
        case _:
            return await job(job_id, settings)


async def cancel(job_id: str, settings: AdminSettings) -> dict[str, Any]:
    """Cancel anybody's job; raises NotFound, or AlreadyFinished."""
    found = await _read(job_id, settings)
    client = async_client(settings.redis_address)
    if await records.cancel(client, job_id, found.record["caller"], keep_for=settings.result_ttl) == "finished":
        raise AlreadyFinished("It had ended when the request came, and stays as it is")
    return await job(job_id, settings)


async def delete(job_id: str, settings: AdminSettings) -> dict[str, Any]:
    """Forget a finished job; raises NotFound, or NotFinished."""
    await _read(job_id, settings)
    if not await operations.forget(async_client(settings.redis_address), job_id):
        raise NotFinished("It waits or runs: cancel it first")
    return {"deleted": 1}


async def reprioritize(job_id: str, priority: Priority, settings: AdminSettings) -> dict[str, Any]:
    """Change a job's priority; raises NotFound, or AlreadyFinished."""
    await _read(job_id, settings)
    answer = await operations.reprioritize(async_client(settings.redis_address), job_id, PRIORITIES.index(priority))
    if answer == "finished":
        raise AlreadyFinished("It has ended")
    return await job(job_id, settings)


async def redeliver(job_id: str, settings: AdminSettings) -> dict[str, Any]:
    """Send a job's webhooks again; raises NotFound."""
    found = await _read(job_id, settings)
    _, told = await history.redeliver(async_client(settings.redis_address), job_id, found.record["caller"], None)
    return {"requestIds": sorted(told)}


async def caller_list(settings: AdminSettings) -> dict[str, Any]:
    """List the callers that have keys."""
    found = await callers.every(async_client(settings.redis_address))
    return {"callers": [{"id": one.id, "name": one.name, "createdAt": rfc3339(one.created)} for one in found]}


def _listed(found: records.StoredJob) -> dict[str, Any]:
    return {**listed(found).model_dump(by_alias=True), "caller": found.record["caller"]}


async def _read(job_id: str, settings: AdminSettings) -> records.StoredJob:
    found = await records.read(async_client(settings.redis_address), job_id, None) if is_id(job_id) else None
    if found is None:
        raise NotFound("There is no such job")
    return found
