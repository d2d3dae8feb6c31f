"""The routes of submit."""

from fastapi import APIRouter, Request, Response

from functions.submit import service
from shared.http.body import read_json
from shared.http.callers import ANONYMOUS
from shared.http.describe import problems, takes
from shared.models import Accepted, SubmitRequest
from shared.settings import SubmitSettings, load

router = APIRouter(tags=["queries"])


@router.post(
    "/api/query",
    summary="Submit a query",
    status_code=202,
    responses={
        202: {
            "model": Accepted,
            "description": "Queued.",
            "headers": {
                "Location": {"description": "Where the job is.", "schema": {"type": "string"}},
                "Retry-After": {
                    "description": "Seconds until a look is worth while.",
                    "schema": {"type": "integer"},
                },
            },
        },
        **problems(400, 413, 415, 422, 503),
    },
    openapi_extra=takes(SubmitRequest),
)
async def submit_query(request: Request) -> Response:
    """Accept a query as a job. The answer is at `GET /api/query/{jobId}` when the job has ended."""
    settings = load(SubmitSettings)
    query = await read_json(request, SubmitRequest, max_bytes=settings.max_body_bytes)
    accepted = await service.submit(query, request_id=request.state.request_id, caller=ANONYMOUS, settings=settings)
    return Response(
        accepted.model_dump_json(by_alias=True),
        202,
        {"Location": f"/api/query/{accepted.job_id}", "Retry-After": "1"},
        "application/json",
    )
