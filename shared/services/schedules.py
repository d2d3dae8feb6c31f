"""Create, change and run schedules: what the API and the dashboard do with them."""

import asyncio
from typing import Any

from pydantic_core import to_json

from shared import due_times
from shared.api.errors import (
    CallerStorageFull,
    FieldError,
    GatewayError,
    IdempotencyMismatch,
    InvalidRequest,
    KeyRevoked,
    NotFound,
    Unavailable,
)
from shared.api.fingerprint import digest
from shared.api.ids import is_id, new_id
from shared.api.pages import fitting, json_bytes
from shared.api.policies import NO_POLICY
from shared.api.requests import SubmitRequest
from shared.api.schedules import Schedule, ScheduleDetail, SchedulePatch, ScheduleRequest, ScheduleRun
from shared.api.times import rfc3339, when
from shared.configuration.settings import CommonSettings, SubmitSettings
from shared.services import limits, preparing, submitting
from shared.services.batches import error_at
from shared.services.due_schedules import submission_of
from shared.store.callers import policies, usage
from shared.store.jobs import submissions
from shared.store.redis import clock
from shared.store.redis.client import async_client
from shared.store.schedules import schedules as store

# Due times that a schedule shows.
_SHOWN = 5
# Changes of one schedule at the same time, after which the last client is to try again.
_TRIES = 10


async def create(
    request: ScheduleRequest, *, request_id: str, caller: str, idempotency_key: str | None, settings: SubmitSettings
) -> tuple[Schedule, bool]:
    """Store a schedule whose query this deployment and policy allow; return it, and whether it is replayed.

    Raises the errors of a submission that do not depend on the moment, CallerStorageFull or IdempotencyMismatch.
    """
    host = await _check(request.query, caller, settings)
    client = async_client(settings.redis_address)
    definition = await _definition(new_id(), request, host, caller, settings)
    if idempotency_key:
        definition = definition._replace(
            idempotency=submissions.idempotency_record(caller, digest(["POST /api/schedules", idempotency_key])),
            body=digest(request.model_dump(mode="json", by_alias=True, exclude_defaults=True)),
        )
    kind, schedule_id = await store.put(
        client, definition._replace(request_id=request_id, label=usage.current_key.get())
    )
    _refuse(kind, definition.max_bytes)
    return await read(schedule_id, caller=caller, settings=settings), kind == "replayed"


async def change(schedule_id: str, patch: SchedulePatch, *, caller: str, settings: SubmitSettings) -> Schedule:
    """Change fields of a caller's schedule; raises NotFound, and the errors of `create`."""
    changes = {name: getattr(patch, name) for name in patch.model_fields_set}
    host = await _check(patch.query, caller, settings) if "query" in changes else None
    for _ in range(_TRIES):
        found = await _found(schedule_id, caller, settings)
        request = ScheduleRequest.model_construct(**{**_fields_of(found), **changes})
        definition = await _definition(schedule_id, request, host, caller, settings, found)
        if await _put(definition, settings):
            return await read(schedule_id, caller=caller, settings=settings)
    raise _busy()


async def pause(schedule_id: str, *, paused: bool, caller: str | None, settings: CommonSettings) -> Schedule:
    """Pause one of a caller's schedules, or resume it from now on; any one when the caller is None. Raises NotFound."""
    for _ in range(_TRIES):
        found = await _found(schedule_id, caller, settings)
        if bool(found.paused) == paused:
            return _shown(found, await _now(settings))
        now, record = await _now(settings), found.record
        definition = store.Definition(
            schedule_id, record["caller"], found.revision, record["name"], record["cron"], record["tz"],
            record["overlap"], record["catchup"],
            next=0 if paused else due_times.first(record["cron"], record["tz"], now), query=record["query"],
            paused="requested" if paused else "", webhook_url=record["hook"], webhook_host=record["host"],
        )  # fmt: skip
        if await _put(definition, settings):
            return await read(schedule_id, caller=caller, settings=settings)
    raise _busy()


async def delete(schedule_id: str, *, caller: str | None, settings: CommonSettings) -> None:
    """Delete one of a caller's schedules, or any one when the caller is None; its jobs stay. Raises NotFound."""
    found = await _found(schedule_id, caller, settings)
    if not await store.delete(async_client(settings.redis_address), schedule_id, found.record["caller"]):
        raise NotFound("Schedule not found")


async def run_now(
    schedule_id: str, *, request_id: str, caller: str, idempotency_key: str | None, settings: SubmitSettings
) -> tuple[store.Answer, dict[str, str]]:
    """Submit the query of a caller's schedule now, also while it is paused; return the answer and headers.

    Raises NotFound and the errors of a submission.
    """
    client = async_client(settings.redis_address)
    for _ in range(_TRIES):
        found = await _found(schedule_id, caller, settings)
        query = SubmitRequest.model_validate(found.query)
        submission = await submission_of(query, request_id=request_id, caller=caller, settings=settings)
        if idempotency_key:
            scope = digest([f"run {schedule_id}", idempotency_key])
            submission.idempotency, submission.body = submissions.idempotency_record(caller, scope), schedule_id
        policy = await policies.of(client, caller)
        applied = limits.of(caller, policy, settings)
        run = store.Run(schedule_id, caller, found.revision)
        answer = await store.carry_out(client, run, submission, applied)
        if answer.kind == "changed":
            continue
        return answer, submitting.accepted(answer, answer.job_id, query, applied, policy)
    raise _busy()


async def read(schedule_id: str, *, caller: str | None, settings: CommonSettings) -> Schedule:
    """Return one of a caller's schedules without its runs; raises NotFound."""
    found, now = await asyncio.gather(_found(schedule_id, caller, settings), _now(settings))
    return _shown(found, now)


async def read_with_runs(schedule_id: str, *, caller: str | None, settings: CommonSettings) -> ScheduleDetail:
    """Return one of a caller's schedules with its last runs; raises NotFound."""
    if not is_id(schedule_id):
        raise NotFound("Schedule not found")
    shown, past = await asyncio.gather(
        read(schedule_id, caller=caller, settings=settings),
        store.runs(async_client(settings.redis_address), schedule_id),
    )
    return ScheduleDetail(**dict(shown), runs=[_run(one) for one in past])


async def page(
    limit: int, cursor: str | None, *, caller: str | None, settings: CommonSettings
) -> tuple[list[tuple[str, Schedule]], str | None]:
    """List schedules with their callers, those of one caller or of all, newest first; also return the next cursor."""
    client, before = async_client(settings.redis_address), None if cursor is None else int(cursor)
    (found, end), now = await asyncio.gather(store.page(client, caller, limit=limit, before=before), _now(settings))
    shown = fitting((_shown(one, now) for one in found), json_bytes)
    if len(shown) < len(found):
        end = int(found[len(shown) - 1].record["seq"])
    callers = (one.record["caller"] for one in found)
    return list(zip(callers, shown, strict=False)), None if end is None else str(end)


async def _check(query: SubmitRequest, caller: str, settings: SubmitSettings) -> str:
    """Return the host of a query's webhook; raises the error of a query that could not be submitted now."""
    if query.run_at is not None:
        message = "should be absent: the schedule determines when its query runs"
        raise InvalidRequest(f"query.runAt: {message}", errors=(FieldError("/query/runAt", message),))
    try:
        prepared = await preparing.prepare(
            query, request_id=new_id(), caller=caller, idempotency_key=None, settings=settings
        )
    except GatewayError as error:
        raise error_at(error, "query") from None
    return prepared.webhook_host


async def _definition(
    schedule_id: str, request: ScheduleRequest, host: str | None, caller: str, settings: SubmitSettings,
    before: store.StoredSchedule | None = None,
) -> store.Definition:  # fmt: skip
    """Return what the store keeps of a request; `host` is None when the query is the one `before`."""
    paused = before.paused if before else ""
    policy = await policies.of(async_client(settings.redis_address), caller)
    return store.Definition(
        schedule_id=schedule_id,
        caller=caller,
        revision=before.revision if before else 0,
        name=request.name,
        cron=request.cron,
        timezone=request.timezone,
        overlap=request.overlap,
        catch_up=request.catch_up,
        next=0 if paused else due_times.first(request.cron, request.timezone, await _now(settings)),
        paused=paused,
        query=before.record["query"] if before and host is None else to_json(_sent(request.query)).decode(),
        webhook_url=before.record["hook"] if before and host is None else request.query.webhook_url or "",
        webhook_host=before.record["host"] if before and host is None else host or "",
        max_bytes=limits.of(caller, policy, settings).caller_max_bytes,
    )


def _sent(query: SubmitRequest) -> dict[str, Any]:
    """Return the fields of a query that its client has sent."""
    return query.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _fields_of(found: store.StoredSchedule) -> dict[str, Any]:
    record = found.record
    names = {"name": "name", "cron": "cron", "timezone": "tz", "overlap": "overlap", "catch_up": "catchup"}
    return {field: record[name] for field, name in names.items()} | {"query": None}


async def _put(definition: store.Definition, settings: CommonSettings) -> bool:
    kind, _ = await store.put(async_client(settings.redis_address), definition)
    _refuse(kind, definition.max_bytes)
    return kind != "changed"


def _refuse(kind: str, max_bytes: int) -> None:
    if kind == "caller_bytes":
        applied = submissions.UNLIMITED._replace(caller_max_bytes=max_bytes)
        try:
            limits.refuse(kind, 0, {}, applied, NO_POLICY)
        except CallerStorageFull as error:
            raise CallerStorageFull(f"Schedules count too. {error.detail}", headers=error.headers) from None
    if kind == "revoked":
        raise KeyRevoked
    if kind == "mismatch":
        raise IdempotencyMismatch(
            "Invalid idempotency key reuse: the body differs from the first request with this Idempotency-Key. "
            "Use a new key for a new schedule"
        )


def _busy() -> Unavailable:
    return Unavailable("The schedule is changed by others at the same time. Try again", headers={"Retry-After": "1"})


async def _found(schedule_id: str, caller: str | None, settings: CommonSettings) -> store.StoredSchedule:
    client = async_client(settings.redis_address)
    found = await store.read(client, schedule_id, caller) if is_id(schedule_id) else None
    if found is None:
        raise NotFound("Schedule not found")
    return found


async def _now(settings: CommonSettings) -> int:
    return await clock.now(async_client(settings.redis_address))


def _shown(found: store.StoredSchedule, now: int) -> Schedule:
    record = found.record
    # A due time that has come and is not carried out yet is still the next one.
    rest = due_times.upcoming(record["cron"], record["tz"], max(now, found.due), _SHOWN - 1) if found.due else ()
    return Schedule.model_validate(
        {
            "scheduleId": found.schedule_id,
            "name": record["name"],
            "cron": record["cron"],
            "timezone": record["tz"],
            "query": found.query,
            "overlap": record["overlap"],
            "catchUp": record["catchup"],
            "paused": found.paused or None,
            "failures": int(record["failures"]),
            "nextRuns": [rfc3339(at) for at in (*([found.due] if found.due else []), *rest)],
            "createdAt": rfc3339(int(record["created"])),
            "updatedAt": rfc3339(int(record["updated"])),
        }
    )


def _run(one: store.PastRun) -> ScheduleRun:
    duration = one.finished - one.started if one.finished and one.started else None
    error = {"code": one.code, "message": one.detail} if one.code else None
    return ScheduleRun.model_validate(
        {
            "dueAt": when(one.due), "at": rfc3339(one.at), "state": one.state, "jobId": one.job, "error": error,
            "durationMs": duration, "costUsd": one.cost,
        }
    )  # fmt: skip
