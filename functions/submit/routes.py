"""The routes of the submit function."""

from fastapi import APIRouter, Request, Response

from shared.api.errors import AlreadyFinished, NotRunning, TooManyMessages
from shared.api.models import Accepted, Cached, Route, Status
from shared.api.requests import RouteRequest, SubmitRequest
from shared.api.steps import MessageAccepted, NewMessage
from shared.api.views import status_of
from shared.configuration.settings import SubmitSettings, load
from shared.http.answers import as_accepted, as_cached, as_json
from shared.http.body import read_json
from shared.http.callers import caller_of
from shared.http.describe import ACCEPTED_HEADERS, SUBMISSION_ERRORS, header, in_path, problems, takes
from shared.http.direct import DirectRoute
from shared.http.forwarded import prefix_of
from shared.http.headers import preferred_wait
from shared.http.idempotency import IDEMPOTENCY_KEY, idempotency_key_in
from shared.services import servers, steps
from shared.services import submitting as service

router = APIRouter(tags=["queries"], route_class=DirectRoute)
_LONGEST_WAIT = 25.0
_PREFER = header("Prefer", "`wait=SECONDS`, at most 25: respond at the end of the job.", {"type": "string"})


@router.post(
    "/api/query",
    summary="Submit a query",
    status_code=202,
    responses={
        200: {"model": Cached | Status, "description": "The cached answer or, with `Prefer: wait`, the finished job."},
        202: {"model": Accepted, "description": "Queued, or joined to an identical job.", "headers": ACCEPTED_HEADERS},
        **problems(400, 401, 403, 413, 415, 422, *SUBMISSION_ERRORS, 503),
    },
    openapi_extra={**takes(SubmitRequest), "parameters": [IDEMPOTENCY_KEY, _PREFER]},
)
async def submit_query(request: Request) -> Response:
    """Accept a query as a job. After its end, `GET /api/query/{jobId}` has the result."""
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    # What the cache answers was sent before.
    query = await read_json(request, SubmitRequest, max_bytes=settings.max_body_bytes, repeats=True)
    submitted = await service.submit(
        query,
        request_id=request.scope["state"]["request_id"],
        caller=caller,
        idempotency_key=idempotency_key_in(request),
        settings=settings,
    )
    answer, headers = submitted.answer, dict(submitted.rate_headers)
    request.scope["state"]["job_id"] = answer.job_id
    if answer.replayed:
        headers["Idempotent-Replayed"] = "true"
    if answer.kind == "cached":
        return as_cached(answer.request_id, answer.job_id, answer.result, headers)
    if seconds := preferred_wait(request.headers, _LONGEST_WAIT):
        headers["Preference-Applied"] = "wait"
        job = await service.at_end(answer.job_id, seconds, caller=caller, settings=settings)
        if job is not None and job.ended:
            return as_json(status_of(job), 200, headers)
    headers |= {"Location": f"{prefix_of(request)}/api/query/{answer.job_id}", "Retry-After": "1"}
    return as_accepted(answer.request_id, answer.kind, answer.job_id, headers)


@router.post(
    "/api/mcp/route",
    summary="Score the MCP servers for a query",
    response_model=Route,
    responses={
        200: {"description": "The chosen MCP servers and all scores."},
        **problems(400, 401, 404, 413, 415, 422, 503),
    },
    openapi_extra=takes(RouteRequest),
)
async def route_query(request: Request) -> Response:
    """Score the MCP servers as for a submission, without running anything; 404 while MCP_ENABLED is false."""
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    body = await read_json(request, RouteRequest, max_bytes=settings.max_body_bytes)
    return as_json(Route.model_validate(await servers.route(body.query, caller=caller, settings=settings)))


@router.post(
    "/api/query/{jobId}/messages",
    summary="Send a message to a running job",
    status_code=202,
    response_model=MessageAccepted,
    responses={
        202: {"description": "The model receives it at the next step."},
        **problems(400, 401, 404, NotRunning, TooManyMessages, 413, 415, 422, 503),
    },
    openapi_extra={**takes(NewMessage), "parameters": [in_path("jobId", "The `jobId` of the submission.")]},
)
async def send_message(request: Request) -> Response:
    """Send a message of the user to a running job. The model receives it when its present step ends.

    A model that calls no further tool answers the message after its answer to the query; then that is the result.
    """
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    message = await read_json(request, NewMessage, max_bytes=settings.max_body_bytes)
    job_id = request.path_params["jobId"]
    return as_json(await steps.send_message(job_id, message.text, caller=caller, settings=settings), 202)


@router.delete(
    "/api/query/{jobId}",
    summary="Cancel a job",
    response_model=Status,
    responses={200: {"description": "The cancelled job."}, **problems(401, 404, AlreadyFinished, 422, 503)},
    openapi_extra={"parameters": [in_path("jobId", "The `jobId` of the submission.")]},
)
async def cancel_job(request: Request) -> Response:
    """Cancel a waiting or running job. All submissions that joined the job are cancelled with it."""
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    job = await service.cancel(request.path_params["jobId"], caller=caller, settings=settings)
    return as_json(status_of(job))
