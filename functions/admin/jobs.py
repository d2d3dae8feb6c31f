"""The routes of many jobs: the list with its filters, and actions on all jobs of a filter; and a running job's text."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from functions.admin import bulk, finding
from functions.admin.access import require_admin, require_viewer
from functions.admin.audit import audited
from shared.configuration.settings import AdminSettings, load
from shared.http.body import read_json
from shared.http.describe import problems, takes

router = APIRouter(prefix="/admin/api", tags=["admin"], responses=problems(401, 403, 404, 422, 429, 503))
_VIEWER, _ADMIN = [Depends(require_viewer)], [Depends(require_admin)]


class JobQuery(finding.JobFilter):
    """The filter of a list, and which page of it."""

    job_id: str | None = Field(None, max_length=36, description="The same as `id`.")
    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = Field(None, pattern="^[0-9]{1,15}$")


@router.get("/jobs", summary="List the jobs of all callers", dependencies=_VIEWER)
async def list_jobs(wanted: Annotated[JobQuery, Query()]) -> JSONResponse:
    """List the jobs that match, newest first.

    A request examines a bounded number of jobs. With a `nextCursor` the search continues there, also when it has found
    fewer jobs than `limit`.
    """
    by_id = wanted if wanted.id or not wanted.job_id else finding.JobFilter(id=wanted.job_id)
    return JSONResponse(await finding.page(by_id, wanted.limit, wanted.cursor, load(AdminSettings)))


@router.post(
    "/jobs/bulk",
    summary="Retry, cancel or delete many jobs",
    dependencies=_ADMIN,
    responses=problems(400, 413, 415),
    openapi_extra=takes(bulk.BulkRequest),
)
async def change_jobs(request: Request) -> JSONResponse:
    """Change up to 100 jobs of a filter or a list, or count them; repeat with `nextCursor` until it is null.

    Each job is checked again when it is changed, and `unchanged` counts those that an action no longer applies to.
    """
    settings = load(AdminSettings)
    wanted = await read_json(request, bulk.BulkRequest, max_bytes=settings.max_body_bytes)
    answer = await bulk.apply(wanted, settings)
    if wanted.dry_run:
        return JSONResponse(answer)
    what = wanted.model_dump(mode="json", by_alias=True, exclude_defaults=True, include={"filter", "job_ids", "as_of"})
    counts = {"count": answer["count"], "changed": answer["changed"], "unchanged": answer["unchanged"]}
    return await audited(request, f"{wanted.action}_jobs", answer, **what, **counts)


@router.get("/jobs/{jobId}/text", summary="Read what a job writes", dependencies=_VIEWER)
async def read_text(
    job_id: Annotated[str, Path(alias="jobId")],
    cursor: Annotated[str | None, Query(pattern="^[0-9]{1,15}-[0-9]{1,15}$")] = None,
) -> JSONResponse:
    """Return the text that a job has written since `cursor`. With `reset` it replaces the text before it."""
    return JSONResponse(await finding.text_since(job_id, cursor, load(AdminSettings)))
