"""The dashboard's JSON API: what it shows and does, for scripts too."""

import logging
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import ConfigDict

from functions.admin import service
from functions.admin.door import may_change, may_see
from shared.api.errors import AlreadyFinished, NotFinished, NotFound
from shared.api.models import Wire
from shared.api.vocabulary import Priority, State
from shared.configuration.settings import AdminSettings, load
from shared.http.body import read_json
from shared.http.describe import problems, takes
from shared.logs import event
from shared.store.callers import callers
from shared.store.jobs import operations
from shared.store.redis.client import async_client
from shared.store.webhooks import history

log = logging.getLogger("admin.audit")

router = APIRouter(prefix="/admin/api", tags=["admin"], responses=problems(401, 403, 404, 422, 429, 503))
JobId = Annotated[str, Path(alias="jobId")]
Body = dict[str, Any]
_SEE, _CHANGE = [Depends(may_see)], [Depends(may_change)]
_NOT_RETRIED = problems(NotFinished, AlreadyFinished)


class NewPriority(Wire):
    """The priority that a job is to have."""

    model_config = ConfigDict(extra="forbid")

    priority: Priority


def _audited(request: Request, action: str, answer: Body, **fields: Any) -> JSONResponse:
    """Leave a line that says who did what, and answer."""
    role, request_id = request.state.role, request.state.request_id
    event(log, "admin_action", action=action, role=role, request_id=request_id, **fields)
    return JSONResponse(answer)


@router.get("/stats", summary="The deployment as a whole", dependencies=_SEE)
async def stats() -> JSONResponse:
    """Show counts, slots, the last hour, cache, spend and webhooks."""
    return JSONResponse(await service.stats(load(AdminSettings)))


@router.get("/jobs", summary="List all jobs", dependencies=_SEE)
async def list_jobs(
    state: State | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query(pattern="^[0-9]{1,15}$")] = None,
    job_id: Annotated[str | None, Query(alias="jobId", max_length=36, description="Only this one.")] = None,
) -> JSONResponse:
    """List everybody's jobs, newest first."""
    return JSONResponse(await service.job_page(state, limit, cursor, job_id, load(AdminSettings)))


@router.get("/jobs/{jobId}", summary="Read any job", dependencies=_SEE)
async def read_job(job_id: JobId) -> JSONResponse:
    """Show all that is known of a job, with what was asked and answered."""
    return JSONResponse(await service.job(job_id, load(AdminSettings)))


@router.post("/jobs/retry-failed", summary="Run every failed job anew", dependencies=_CHANGE)
async def retry_failed(request: Request) -> JSONResponse:
    """Let every failed job run again, as if for the first time."""
    count = await operations.run_failed_anew(async_client(load(AdminSettings).redis_address))
    return _audited(request, "retry_failed", {"retried": count}, count=count)


@router.post("/jobs/purge-finished", summary="Forget every finished job", dependencies=_CHANGE)
async def purge_finished(request: Request) -> JSONResponse:
    """Forget every finished job, with what the cache would answer with it."""
    count = await operations.forget_finished(async_client(load(AdminSettings).redis_address))
    return _audited(request, "purge_finished", {"purged": count}, count=count)


@router.post("/jobs/{jobId}/retry", summary="Run a job anew", dependencies=_CHANGE, responses=_NOT_RETRIED)
async def retry_job(request: Request, job_id: JobId) -> JSONResponse:
    """Let a job that failed or was cancelled run again, as if for the first time."""
    return _audited(request, "retry", await service.retry(job_id, load(AdminSettings)), job_id=job_id)


@router.post(
    "/jobs/{jobId}/cancel", summary="Cancel any job", dependencies=_CHANGE, responses=problems(AlreadyFinished)
)
async def cancel_job(request: Request, job_id: JobId) -> JSONResponse:
    """Cancel a job, whoever submitted it."""
    return _audited(request, "cancel", await service.cancel(job_id, load(AdminSettings)), job_id=job_id)


@router.post(
    "/jobs/{jobId}/priority",
    summary="Change a job's priority",
    dependencies=_CHANGE,
    responses=problems(400, AlreadyFinished, 413, 415),
    openapi_extra=takes(NewPriority),
)
async def change_priority(request: Request, job_id: JobId) -> JSONResponse:
    """Give a job that has not ended another priority."""
    settings = load(AdminSettings)
    wanted = await read_json(request, NewPriority, max_bytes=settings.max_body_bytes)
    answer = await service.reprioritize(job_id, wanted.priority, settings)
    return _audited(request, "priority", answer, job_id=job_id, priority=wanted.priority)


@router.post("/jobs/{jobId}/redeliver", summary="Send a job's webhooks again", dependencies=_CHANGE)
async def redeliver(request: Request, job_id: JobId) -> JSONResponse:
    """Send the terminal event again to all that asked."""
    return _audited(request, "redeliver", await service.redeliver(job_id, load(AdminSettings)), job_id=job_id)


@router.delete("/jobs/{jobId}", summary="Forget a finished job", dependencies=_CHANGE, responses=problems(NotFinished))
async def delete_job(request: Request, job_id: JobId) -> JSONResponse:
    """Forget a finished job, with what the cache would answer with it."""
    return _audited(request, "delete", await service.delete(job_id, load(AdminSettings)), job_id=job_id)


@router.post("/queue/pause", summary="Let no job start", dependencies=_CHANGE)
async def pause(request: Request) -> JSONResponse:
    """Let no job start; those that run go on."""
    await operations.pause(async_client(load(AdminSettings).redis_address))
    return _audited(request, "pause", {"held": "paused"})


@router.post("/queue/resume", summary="Let jobs start", dependencies=_CHANGE)
async def resume(request: Request) -> JSONResponse:
    """Let jobs start, after a pause or when Claude's refusals held the queue."""
    await operations.resume(async_client(load(AdminSettings).redis_address))
    return _audited(request, "resume", {"held": None})


@router.delete("/cache", summary="Clear the cache", dependencies=_CHANGE)
async def clear_cache(
    request: Request,
    job_id: Annotated[str | None, Query(alias="jobId", max_length=36, description="Only what it answers.")] = None,
) -> JSONResponse:
    """Clear the cache of all answers, or of one job's."""
    count = await operations.clear_cache(async_client(load(AdminSettings).redis_address), job_id)
    return _audited(request, "clear_cache", {"cleared": count}, job_id=job_id, count=count)


@router.get("/callers", summary="List the callers", dependencies=_SEE)
async def list_callers() -> JSONResponse:
    """List the callers that have keys, without anything secret."""
    return JSONResponse(await service.caller_list(load(AdminSettings)))


@router.delete("/callers/{callerId}", summary="Revoke a caller's key", dependencies=_CHANGE)
async def revoke_caller(request: Request, caller_id: Annotated[str, Path(alias="callerId")]) -> JSONResponse:
    """Revoke a caller's key, cancel its jobs that have not ended, and end its open streams; all within 5 s."""
    settings = load(AdminSettings)
    if not await callers.revoke(async_client(settings.redis_address), caller_id, keep_for=settings.result_ttl):
        raise NotFound("There is no caller with this id")
    return _audited(request, "revoke_caller", {"revoked": caller_id}, caller=caller_id)


@router.post("/webhooks/hosts/{host}/resume", summary="Try a webhook host again", dependencies=_CHANGE)
async def resume_host(request: Request, host: str) -> JSONResponse:
    """Let a webhook host that fails, or is paused, be tried as if it had never failed."""
    if not await history.resume(async_client(load(AdminSettings).redis_address), host):
        raise NotFound("This host does not fail")
    return _audited(request, "resume_host", {"resumed": host}, host=host)
