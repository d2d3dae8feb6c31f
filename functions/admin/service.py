"""The operations of the dashboard as plain functions."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from functions.admin.outputs import outputs_of
from functions.admin.waits import reasons
from shared.api.approvals import DecisionRequest
from shared.api.errors import AlreadyFinished, FieldError, InvalidRequest, NotFinished, NotFound
from shared.api.ids import is_id
from shared.api.policies import Policy
from shared.api.times import rfc3339
from shared.api.views import attempts_for_operators, failing_host, latest_deliveries, pauses_for_operators, status_of
from shared.api.vocabulary import PRIORITIES, Priority
from shared.configuration.settings import AdminSettings
from shared.services import deciding
from shared.store.callers import api_keys, callers, credentials, policies, spending
from shared.store.fleet import counters, series, slots
from shared.store.jobs import operations, records, waits
from shared.store.redis.client import async_client
from shared.store.webhooks import history


async def stats(settings: AdminSettings) -> dict[str, Any]:
    """Return the state of the deployment and the counts of its last hour."""
    client = async_client(settings.redis_address)
    seen, health, hour, cached, hosts, spent = await asyncio.gather(
        counters.read(client),
        slots.health(client),
        series.read(client, "1h"),
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
            {
                "worker": one.name,
                "cli": one.cli,
                "credentials": one.credentials,
                "slots": one.slots,
                "sandbox": one.sandbox,
            }
            for one in health.workers
        ],
        "hour": [
            {"at": rfc3339(one.at), **{state: one.ended[state] for state in ("completed", "failed", "cancelled")}}
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
            "hosts": [failing_host(host) for host in hosts],
        },
    }


async def job(job_id: str, settings: AdminSettings) -> dict[str, Any]:
    """Return the whole record of a job, with its request and its result; raises NotFound.

    Two round trips, three for a large result: all that one job has is read side by side.
    """
    client = async_client(settings.redis_address)
    (found, cached), request, attempts, left, why = await asyncio.gather(
        _read_with_cache(job_id, settings),
        records.request_of(client, job_id),
        history.attempts(client, job_id, None),
        outputs_of(job_id, settings),
        waits.read(client, job_id),
    )
    session = found.record.get("talk") or request.get("conversation", {}).get("id")
    return {
        **status_of(found).model_dump(by_alias=True),
        "caller": found.record["caller"],
        "callerName": why.get("caller_name"),
        "attempts": attempts_for_operators(found),
        "pauses": pauses_for_operators(found),
        "slot": found.record.get("slot"),
        "workersLost": int(found.record.get("lost", 0)),
        "costUsd": float(found.record.get("cost", 0)),
        "runAnew": int(found.record.get("round", 0)),
        "request": request,
        "outputs": left,
        "cached": cached,
        "sessionId": None if session is None or session.startswith("schedule.") else session,
        "waits": reasons(why),
        # The latest that fit; GET /api/query/{jobId}/deliveries has all.
        "deliveries": [one.model_dump(by_alias=True) for one in latest_deliveries(attempts or [])],
    }


async def decide(job_id: str, ask: str, decision: DecisionRequest, settings: AdminSettings) -> dict[str, Any]:
    """Decide what a job of any caller is paused for; raises NotFound, AlreadyDecided or InvalidRequest."""
    job = await deciding.decide(job_id, ask, decision, caller=None, origin=None, redis_address=settings.redis_address)
    return status_of(job).model_dump(by_alias=True)


async def retry(job_id: str, settings: AdminSettings) -> dict[str, Any]:
    """Queue a failed or cancelled job again; raises NotFound, NotFinished or AlreadyFinished."""
    answer = await operations.retry(async_client(settings.redis_address), job_id) if is_id(job_id) else "missing"
    match answer:
        case "missing":
            raise NotFound("Job not found")
        case "running":
            raise NotFinished("The job is waiting or running")
        case "completed":
            raise AlreadyFinished("The job has completed; only failed and cancelled jobs can be retried")
        case "revoked":
            raise AlreadyFinished("The key of the job's caller is revoked; its jobs cannot be retried")
        case _:
            return await job(job_id, settings)


async def cancel(job_id: str, settings: AdminSettings) -> dict[str, Any]:
    """Cancel a job of any caller; raises NotFound or AlreadyFinished."""
    found = await _read(job_id, settings)
    client = async_client(settings.redis_address)
    if await records.cancel(client, job_id, found.record["caller"], keep_for=settings.result_ttl) == "finished":
        raise AlreadyFinished("The job ended before the request arrived and is unchanged")
    return await job(job_id, settings)


async def delete(job_id: str, settings: AdminSettings) -> dict[str, Any]:
    """Delete a finished job; raises NotFound or NotFinished."""
    await _read(job_id, settings)
    if not await operations.forget(async_client(settings.redis_address), job_id):
        raise NotFinished("The job is waiting or running; cancel it first")
    return {"deleted": 1}


async def reprioritize(job_id: str, priority: Priority, settings: AdminSettings) -> dict[str, Any]:
    """Change a job's priority; raises NotFound or AlreadyFinished."""
    await _read(job_id, settings)
    answer = await operations.reprioritize(async_client(settings.redis_address), job_id, PRIORITIES.index(priority))
    if answer == "finished":
        raise AlreadyFinished("The job has ended; its priority cannot change")
    return await job(job_id, settings)


async def redeliver(job_id: str, settings: AdminSettings) -> dict[str, Any]:
    """Redeliver a job's webhooks; raises NotFound."""
    found = await _read(job_id, settings)
    _, request_ids = await history.redeliver(async_client(settings.redis_address), job_id, found.record["caller"], None)
    return {"requestIds": sorted(request_ids)}


async def retry_failed(settings: AdminSettings) -> int:
    """Queue every failed job again; return how many."""
    return await operations.retry_failed(async_client(settings.redis_address))


async def purge_finished(settings: AdminSettings) -> int:
    """Delete every finished job; return how many."""
    return await operations.forget_finished(async_client(settings.redis_address))


async def pause(by: str, settings: AdminSettings) -> None:
    """Start no further jobs; `by` is who pauses the queue."""
    await operations.pause(async_client(settings.redis_address), by)


async def resume(settings: AdminSettings) -> None:
    """Start jobs again."""
    await operations.resume(async_client(settings.redis_address))


async def clear_cache(job_id: str | None, settings: AdminSettings) -> int:
    """Delete all cached answers, or the answer of one job; return how many."""
    return await operations.clear_cache(async_client(settings.redis_address), job_id)


async def revoke_caller(caller_id: str, settings: AdminSettings) -> None:
    """Revoke a caller's key; raises NotFound."""
    if not await callers.revoke(async_client(settings.redis_address), caller_id, keep_for=settings.result_ttl):
        raise NotFound("Caller not found")


async def resume_host(host: str, settings: AdminSettings) -> None:
    """Resume the deliveries to a webhook host; raises NotFound unless the host is failing."""
    if not await history.resume(async_client(settings.redis_address), host):
        raise NotFound("This webhook host is not failing")


async def caller_list(settings: AdminSettings) -> dict[str, Any]:
    """List the callers that have keys, with their policies and the names of their credentials."""
    client = async_client(settings.redis_address)
    found = await api_keys.every(client)
    names: dict[str, list[str]] = {one.caller.id: [] for one in found}
    for credential in await credentials.of_callers(client, list(names)):
        names[credential.owner].append(credential.stored.name)
    return {
        "callers": [
            {
                "id": one.caller.id,
                "keyId": one.id,
                "name": one.caller.name,
                "createdAt": rfc3339(one.caller.created),
                "lastUsedAt": None if one.used is None else rfc3339(one.used),
                "scopes": list(one.scopes),
                "policy": json.loads(one.policy.to_json()),
                "credentials": names[one.caller.id],
            }
            for one in found
        ]
    }


async def create_caller(name: str, policy: Policy, scopes: Sequence[str], settings: AdminSettings) -> dict[str, Any]:
    """Create a key for a new caller; raises InvalidRequest for a name that it cannot have."""
    try:
        new = await callers.create(async_client(settings.redis_address), name, policy=policy, scopes=scopes)
    except callers.NameRefused as refusal:
        raise InvalidRequest(f"name: {refusal}", errors=(FieldError("/name", str(refusal)),)) from None
    return {"id": new.id, "name": new.name, "key": new.key, "webhookSecret": new.webhook_secret}


async def rotate_key(caller_id: str, overlap: int, settings: AdminSettings) -> dict[str, Any]:
    """Replace a caller's key, which works for `overlap` s; raises NotFound."""
    key = await api_keys.rotate(async_client(settings.redis_address), caller_id, overlap=overlap)
    if key is None:
        raise NotFound("Caller not found")
    return {"id": caller_id, "key": key}


async def read_policy(caller_id: str, settings: AdminSettings) -> dict[str, Any]:
    """Return a caller's policy; raises NotFound."""
    policy = await policies.read(async_client(settings.redis_address), caller_id)
    if policy is None:
        raise NotFound("Caller not found")
    found: dict[str, Any] = json.loads(policy.to_json())
    return found


async def put_policy(caller_id: str, policy: Policy, settings: AdminSettings) -> dict[str, Any]:
    """Set a caller's policy; raises NotFound."""
    if await policies.put(async_client(settings.redis_address), caller_id, policy) == "missing":
        raise NotFound("Caller not found")
    stored: dict[str, Any] = json.loads(policy.to_json())
    return stored


async def _read_with_cache(job_id: str, settings: AdminSettings) -> tuple[records.StoredJob, bool]:
    found = await _read(job_id, settings)
    client = async_client(settings.redis_address)
    return found, await operations.is_cached(client, job_id, found.record.get("fp"))


async def _read(job_id: str, settings: AdminSettings) -> records.StoredJob:
    found = await records.read(async_client(settings.redis_address), job_id, None) if is_id(job_id) else None
    if found is None:
        raise NotFound("Job not found")
    return found
