"""The routes of the status function."""

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import Field, TypeAdapter, ValidationError

from functions.status import service
from functions.status import usage as usage_service
from shared.api.errors import NotFound
from shared.api.models import JobPage, Status, UsageReport
from shared.api.steps import StepPage
from shared.api.vocabulary import State
from shared.configuration.settings import StatusSettings, load
from shared.http.answers import as_json, event_stream
from shared.http.callers import caller_of, require_key
from shared.http.describe import in_path, problems
from shared.http.direct import DirectRoute
from shared.http.problems import invalid_fields
from shared.http.query import refuse_unknown
from shared.services import steps as step_service
from shared.services.following import follow

router = APIRouter()
# Polled often, so these routes skip FastAPI's request handling.
polled = APIRouter(tags=["queries"], route_class=DirectRoute)
# OpenAPI 3.1 has no schema for a single event, so a stream is described as text.
_EVENTS = {
    "type": "string",
    "description": (
        "Server-sent events. Each has an `id`, an `event` and JSON `data`: `state` has `{state, progress}`, `delta` "
        "has `{text}`, `step` has a Step when it begins and when it ends, `reset` has `{}` and discards the text so "
        "far, `done` has the Status."
    ),
    "examples": ['retry: 1000\n\nid: 1769860800700-0\nevent: delta\ndata: {"text": "4"}\n\n'],
}
_EVENT_ID = "^([0-9]{1,15}-[0-9]{1,10})?$"
_SECONDS = TypeAdapter(Annotated[float, Field(ge=0, le=25)])
_WAIT = {
    "name": "wait",
    "in": "query",
    "description": "Seconds to wait for the end of the job.",
    "schema": {"type": "number", "minimum": 0, "maximum": 25, "default": 0},
}
JobId = Annotated[str, Path(alias="jobId", description="The `jobId` of the submission.")]


@router.get(
    "/api/query",
    summary="List your jobs",
    tags=["queries"],
    response_model=JobPage,
    responses={200: {"description": "A page, newest first."}, **problems(401, 422, 503)},
)
async def list_jobs(
    request: Request,
    state: Annotated[State | None, Query(description="Only jobs in this state.")] = None,
    schedule: Annotated[str | None, Query(max_length=36, description="Only jobs that this schedule made.")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="The number of jobs at most.")] = 20,
    cursor: Annotated[
        str | None, Query(pattern="^[0-9]{1,15}$", description="The `nextCursor` of the previous page.")
    ] = None,
) -> Response:
    """List the caller's own jobs, newest first, without their results."""
    settings = load(StatusSettings)
    caller = await caller_of(request, settings)
    page = await service.job_page(state, schedule, limit, cursor, caller=caller, settings=settings)
    return as_json(page)


@polled.get(
    "/api/query/{jobId}",
    summary="Read a job",
    response_model=Status,
    responses={200: {"description": "The job."}, **problems(401, 404, 422, 503)},
    openapi_extra={"parameters": [in_path("jobId", "The `jobId` of the submission."), _WAIT]},
)
async def read_job(request: Request) -> Response:
    """Return the state of a job, and its result or error after its end."""
    settings = load(StatusSettings)
    caller = await caller_of(request, settings)
    job_id, wait = request.path_params["jobId"], _wait_in(request)
    return as_json(await service.job_status(job_id, wait, caller=caller, settings=settings))


@router.get(
    "/api/query/{jobId}/events",
    summary="Follow a job",
    tags=["queries"],
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "`state`, `delta`, `step`, `reset`, then `done`, each with an id; a comment every 10 s.",
            "content": {"text/event-stream": {"schema": _EVENTS}},
        },
        204: {"description": "No event follows `Last-Event-ID` or `lastEventId`; do not reconnect."},
        **problems(401, 404, 422, 503),
    },
)
async def follow_job(
    request: Request,
    job_id: JobId,
    in_header: Annotated[
        str,
        Header(
            alias="Last-Event-ID",
            pattern=_EVENT_ID,
            description="The id of the last event received; the stream continues after it.",
        ),
    ] = "",
    in_query: Annotated[
        str,
        Query(
            alias="lastEventId",
            pattern=_EVENT_ID,
            description="The same for clients that cannot send the header, which takes precedence.",
        ),
    ] = "",
) -> Response:
    """Stream the events of a job until its end. In Lambda a response ends early, and the client reconnects."""
    settings = load(StatusSettings)
    caller = await caller_of(request, settings)
    after = in_header or in_query or None
    if not await service.can_be_followed(job_id, after, caller=caller, settings=settings):
        return Response(status_code=204)
    return event_stream(follow(job_id, after, caller, settings))


@router.get(
    "/api/query/{jobId}/steps",
    summary="List the steps of a job",
    tags=["queries"],
    response_model=StepPage,
    responses={200: {"description": "A page, in the order in which they began."}, **problems(401, 404, 422, 503)},
)
async def list_steps(
    request: Request,
    job_id: JobId,
    limit: Annotated[int, Query(ge=1, le=100, description="The number of steps at most.")] = 100,
    cursor: Annotated[
        str | None, Query(pattern=step_service.STEP_CURSOR, description="The `nextCursor` of the previous page.")
    ] = None,
) -> Response:
    """List the tool calls of a job's runs and the messages that it was sent, the first 2,000 of them."""
    settings = load(StatusSettings)
    caller = await caller_of(request, settings)
    return as_json(await step_service.step_page(job_id, limit, cursor, caller=caller, settings=settings))


@router.get(
    "/api/usage",
    summary="Read your usage",
    tags=["queries"],
    response_model=UsageReport,
    responses={
        200: {
            "description": "Usage by day (UTC) and model, the latest day first; as CSV by day, key, model and tag.",
            "content": {"text/csv": {"schema": {"type": "string"}}},
        },
        **problems(401, 422, 503),
    },
)
async def usage(
    request: Request,
    days: Annotated[int, Query(ge=1, le=400, description="The number of days, including today.")] = 30,
    form: Annotated[Literal["json", "csv"], Query(alias="format", description="`csv` for spreadsheets.")] = "json",
) -> Response:
    """Return the cost of all the caller's jobs, failed ones too, and the amount that cached answers saved."""
    settings = load(StatusSettings)
    caller = await caller_of(request, settings)
    if form == "csv":
        return Response(await usage_service.usage_csv(days, caller=caller, settings=settings), media_type="text/csv")
    report = await usage_service.usage(days, caller=caller, settings=settings)
    return as_json(report)


@router.get(
    "/health",
    summary="Read the readiness",
    tags=["health"],
    response_model=service.HealthReport,
    responses={
        200: {"description": "`ok`, or `degraded` if queued jobs do not start."},
        503: {"model": service.HealthReport, "description": "`down`: Redis does not answer, or refuses writes."},
        **problems(422),
    },
)
async def health(request: Request) -> Response:
    """Return whether queries are accepted (the HTTP status) and run (`ok`, not `degraded`)."""
    refuse_unknown(request)
    report = await service.health(load(StatusSettings))
    return Response(report.model_dump_json(), 503 if report.status == "down" else 200, media_type="application/json")


@router.get(
    "/metrics",
    summary="Read the metrics",
    tags=["health"],
    response_class=PlainTextResponse,
    responses={
        200: {"description": "Prometheus text, or OpenMetrics if the client accepts it."},
        **problems(401, 404, 422, 503),
    },
)
async def metrics(request: Request) -> Response:
    """Return the metrics of the whole deployment; 404 unless METRICS_ENABLED.

    With AUTH_ENABLED a caller's key is required, unless METRICS_AUTH is false.
    """
    settings = load(StatusSettings)
    if not settings.metrics_enabled:
        raise NotFound("METRICS_ENABLED is false")
    if settings.auth if settings.metrics_auth is None else settings.metrics_auth:
        await require_key(request, settings)
    refuse_unknown(request)
    body, content_type = await service.metrics(request.headers.get("accept", ""), settings)
    return Response(body, media_type=content_type)


@router.get("/health/live", summary="Read the liveness", tags=["health"], responses=problems(422))
async def live(request: Request) -> dict[str, str]:
    """Return 200 whenever the process responds."""
    refuse_unknown(request)
    return {"status": "ok"}


def _wait_in(request: Request) -> float:
    """Return the seconds that a request waits for the end of the job; raises InvalidRequest."""
    if not request.scope["query_string"]:
        return 0.0
    try:
        return _SECONDS.validate_python(request.query_params.get("wait", 0))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise invalid_fields([{**problem, "loc": ("wait",)} for problem in found]) from None
