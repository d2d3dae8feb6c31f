"""The routes of the dashboard's JSON API, which scripts use too."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import ConfigDict, Field

from functions.admin import outputs, service
from functions.admin.access import require_admin, require_viewer
from functions.admin.audit import audited
from shared.api.approvals import DecisionRequest
from shared.api.errors import AlreadyDecided, AlreadyFinished, NotFinished
from shared.api.models import Wire
from shared.api.vocabulary import Priority
from shared.configuration.settings import AdminSettings, load
from shared.http.body import read_json
from shared.http.describe import problems, takes
from shared.services import steps

router = APIRouter(prefix="/admin/api", tags=["admin"], responses=problems(401, 403, 404, 422, 429, 503))
JobId = Annotated[str, Path(alias="jobId")]
Body = dict[str, Any]
_VIEWER, _ADMIN = [Depends(require_viewer)], [Depends(require_admin)]
_RETRY_ERRORS = problems(NotFinished, AlreadyFinished)


class NewPriority(Wire):
    """The new priority of a job."""

    model_config = ConfigDict(extra="forbid")

    priority: Priority


class NewDownload(Wire):
    """A file of a job."""

    model_config = ConfigDict(extra="forbid")

    file_id: str = Field(min_length=1, max_length=64)


@router.get("/stats", summary="Read the state of the deployment", dependencies=_VIEWER)
async def stats() -> JSONResponse:
    """Return job counts, slots, the last hour, cache, cost and webhooks."""
    return JSONResponse(await service.stats(load(AdminSettings)))


@router.get("/jobs/{jobId}", summary="Read a job of any caller", dependencies=_VIEWER)
async def read_job(job_id: JobId) -> JSONResponse:
    """Return the whole record of a job, with its request and its result."""
    return JSONResponse(await service.job(job_id, load(AdminSettings)))


@router.get("/jobs/{jobId}/steps", summary="List the steps of a job of any caller", dependencies=_VIEWER)
async def list_steps(
    job_id: JobId,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
    cursor: Annotated[str | None, Query(pattern=steps.STEP_CURSOR)] = None,
) -> JSONResponse:
    """List the steps of a job in the order in which they began."""
    page = await steps.step_page(job_id, limit, cursor, caller=None, settings=load(AdminSettings))
    return JSONResponse(page.model_dump(by_alias=True))


@router.post("/jobs/retry-failed", summary="Retry every failed job", dependencies=_ADMIN)
async def retry_failed(request: Request) -> JSONResponse:
    """Queue every failed job again, with all its attempts."""
    count = await service.retry_failed(load(AdminSettings))
    return await audited(request, "retry_failed", {"retried": count}, count=count)


@router.post("/jobs/purge-finished", summary="Delete every finished job", dependencies=_ADMIN)
async def purge_finished(request: Request) -> JSONResponse:
    """Delete every finished job and its cached answer."""
    count = await service.purge_finished(load(AdminSettings))
    return await audited(request, "purge_finished", {"purged": count}, count=count)


@router.post("/jobs/{jobId}/retry", summary="Retry a job", dependencies=_ADMIN, responses=_RETRY_ERRORS)
async def retry_job(request: Request, job_id: JobId) -> JSONResponse:
    """Queue a failed or cancelled job again, with all its attempts."""
    return await audited(request, "retry", await service.retry(job_id, load(AdminSettings)), job_id=job_id)


@router.post(
    "/jobs/{jobId}/cancel",
    summary="Cancel a job of any caller",
    dependencies=_ADMIN,
    responses=problems(AlreadyFinished),
)
async def cancel_job(request: Request, job_id: JobId) -> JSONResponse:
    """Cancel a job of any caller."""
    return await audited(request, "cancel", await service.cancel(job_id, load(AdminSettings)), job_id=job_id)


@router.post(
    "/jobs/{jobId}/decisions/{decisionId}",
    summary="Decide a call that a job of any caller is paused for",
    dependencies=_ADMIN,
    responses=problems(400, AlreadyDecided, 413, 415),
    openapi_extra=takes(DecisionRequest),
)
async def decide(
    request: Request, job_id: JobId, decision_id: Annotated[str, Path(alias="decisionId")]
) -> JSONResponse:
    """Allow or deny the call, or answer the model's questions. The first decision counts."""
    settings = load(AdminSettings)
    decision = await read_json(request, DecisionRequest, max_bytes=settings.max_body_bytes)
    answer = await service.decide(job_id, decision_id, decision, settings)
    return await audited(request, "decide", answer, job_id=job_id, decision_id=decision_id, decision=decision.decision)


@router.post(
    "/jobs/{jobId}/priority",
    summary="Change a job's priority",
    dependencies=_ADMIN,
    responses=problems(400, AlreadyFinished, 413, 415),
    openapi_extra=takes(NewPriority),
)
async def change_priority(request: Request, job_id: JobId) -> JSONResponse:
    """Change the priority of a job that has not ended."""
    settings = load(AdminSettings)
    wanted = await read_json(request, NewPriority, max_bytes=settings.max_body_bytes)
    answer = await service.reprioritize(job_id, wanted.priority, settings)
    return await audited(request, "priority", answer, job_id=job_id, priority=wanted.priority)


@router.post(
    "/jobs/{jobId}/downloads",
    summary="Make a download of a job's file",
    dependencies=_VIEWER,
    responses=problems(400, 413, 415),
    openapi_extra=takes(NewDownload),
)
async def make_download(request: Request, job_id: JobId) -> JSONResponse:
    """Return a path that reads an artifact or the patch for five minutes, without a key."""
    settings = load(AdminSettings)
    wanted = await read_json(request, NewDownload, max_bytes=settings.max_body_bytes)
    answer = await outputs.download(job_id, wanted.file_id, settings)
    # Without the path, which gives the file to any reader of the log.
    return await audited(request, "download", answer, job_id=job_id)


@router.post("/jobs/{jobId}/redeliver", summary="Redeliver a job's webhooks", dependencies=_ADMIN)
async def redeliver(request: Request, job_id: JobId) -> JSONResponse:
    """Send the terminal event again to every submission that has a webhook."""
    return await audited(request, "redeliver", await service.redeliver(job_id, load(AdminSettings)), job_id=job_id)


@router.delete("/jobs/{jobId}", summary="Delete a finished job", dependencies=_ADMIN, responses=problems(NotFinished))
async def delete_job(request: Request, job_id: JobId) -> JSONResponse:
    """Delete a finished job and its cached answer."""
    return await audited(request, "delete", await service.delete(job_id, load(AdminSettings)), job_id=job_id)


@router.post("/queue/pause", summary="Pause the queue", dependencies=_ADMIN)
async def pause(request: Request) -> JSONResponse:
    """Start no further jobs. Running jobs continue."""
    await service.pause(request.state.role, load(AdminSettings))
    return await audited(request, "pause", {"held": "paused"})


@router.post("/queue/resume", summary="Resume the queue", dependencies=_ADMIN)
async def resume(request: Request) -> JSONResponse:
    """Start jobs again after a pause, or while refusals by Claude hold the queue."""
    await service.resume(load(AdminSettings))
    return await audited(request, "resume", {"held": None})


@router.delete("/cache", summary="Clear the cache", dependencies=_ADMIN)
async def clear_cache(
    request: Request,
    job_id: Annotated[
        str | None, Query(alias="jobId", max_length=36, description="Only the answer of this job.")
    ] = None,
) -> JSONResponse:
    """Delete all cached answers, or the answer of one job."""
    count = await service.clear_cache(job_id, load(AdminSettings))
    return await audited(request, "clear_cache", {"cleared": count}, job_id=job_id, count=count)


@router.post("/webhooks/hosts/{host}/resume", summary="Resume deliveries to a webhook host", dependencies=_ADMIN)
async def resume_host(request: Request, host: str) -> JSONResponse:
    """Forget the failures of a webhook host and resume its deliveries at once."""
    await service.resume_host(host, load(AdminSettings))
    return await audited(request, "resume_host", {"resumed": host}, host=host)
