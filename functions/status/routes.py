"""The routes of status."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from functions.status import service
from shared.http.callers import ANONYMOUS
from shared.http.describe import problems
from shared.models import Status
from shared.settings import StatusSettings, load

router = APIRouter()
JobId = Annotated[str, Path(alias="jobId", description="As told when the query was submitted.")]


@router.get(
    "/api/query/{jobId}",
    summary="Read a job",
    tags=["queries"],
    response_model=Status,
    responses={200: {"description": "The job as it stands."}, **problems(404, 503)},
)
async def read_job(job_id: JobId) -> Response:
    """Tell the state of a job, and its result or error when it has ended."""
    status = await service.job_status(job_id, caller=ANONYMOUS, settings=load(StatusSettings))
    return Response(status.model_dump_json(by_alias=True), media_type="application/json")


@router.get(
    "/health",
    summary="Readiness",
    tags=["health"],
    response_model=service.HealthReport,
    responses={
        200: {"description": "`ok`, or `degraded` when no worker is alive."},
        503: {"model": service.HealthReport, "description": "`down`: Redis is away."},
    },
)
async def health() -> Response:
    """Tell whether a query would be accepted (status code) and run (`ok`, not `degraded`)."""
    report = await service.health(load(StatusSettings))
    return Response(report.model_dump_json(), 503 if report.status == "down" else 200, media_type="application/json")


@router.get("/health/live", summary="Liveness", tags=["health"])
async def live() -> dict[str, str]:
    """Answer, because the process does."""
    return {"status": "ok"}
