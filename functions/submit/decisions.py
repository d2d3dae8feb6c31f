"""The routes by which a call that a job is paused for is decided: with the caller's key, and by a one-use URL."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from functions.submit import decision_page as page
from shared.api.approvals import DecisionRequest
from shared.api.errors import AlreadyDecided, InvalidRequest, NotFound
from shared.api.models import Status
from shared.api.views import status_of
from shared.configuration.settings import DecisionSettings, load
from shared.http.answers import as_json
from shared.http.body import read_form, read_json
from shared.http.callers import caller_of
from shared.http.describe import in_path, problems, takes
from shared.http.direct import DirectRoute
from shared.http.forwarded import client_address
from shared.http.query import refuse_unknown
from shared.services import deciding

router = APIRouter(tags=["queries"], route_class=DirectRoute)
_JOB = in_path("jobId", "The `jobId` of the submission.")
_PLACES = [_JOB, in_path("token", "The secret of the URL.")]
_FORM = {
    "type": "object",
    "required": ["decision"],
    "properties": {"decision": {"enum": ["allow", "deny"]}, "message": {"type": "string", "maxLength": 4000}},
}
_HTML = {"text/html": {"schema": {"type": "string"}}}
_INVALID = problems(422)[422]
_PAGES: dict[int | str, dict[str, Any]] = {
    404: {"description": "The call was decided, or the time to decide is over.", "content": _HTML},
    422: {**_INVALID, "content": {**_INVALID["content"], **_HTML}},
}


@router.post(
    "/api/query/{jobId}/decisions/{decisionId}",
    summary="Decide a call that a job is paused for",
    response_model=Status,
    responses={
        200: {"description": "The job, which continues."},
        **problems(400, 401, 403, 404, AlreadyDecided, 413, 415, 422, 503),
    },
    openapi_extra={
        **takes(DecisionRequest),
        "parameters": [_JOB, in_path("decisionId", "The `id` of the job's `pending`.")],
    },
)
async def decide(request: Request) -> Response:
    """Allow or deny the call, or answer the model's questions. The first decision counts."""
    settings = load(DecisionSettings)
    caller = await caller_of(request, settings)
    decision = await read_json(request, DecisionRequest, max_bytes=settings.max_body_bytes)
    job_id, ask = request.path_params["jobId"], request.path_params["decisionId"]
    origin = deciding.Origin("api", request.state.request_id, client_address(request), settings.audit_ttl)
    job = await deciding.decide(
        job_id, ask, decision, caller=caller, origin=origin, redis_address=settings.redis_address
    )
    return as_json(status_of(job))


@router.get(
    "/decide/{jobId}/{token}",
    summary="The page of a one-use URL",
    response_class=HTMLResponse,
    responses=_PAGES | problems(503),
    openapi_extra={"parameters": _PLACES},
)
async def show(request: Request) -> Response:
    """Show the call that a webhook asks to decide. The URL is the only credential; reading it changes nothing."""
    refuse_unknown(request)
    where = request.path_params
    job = await deciding.by_token(where["jobId"], where["token"], redis_address=load(DecisionSettings).redis_address)
    return page.gone() if job is None or job.pending is None else page.asking(job.pending)


@router.post(
    "/decide/{jobId}/{token}",
    summary="Decide by a one-use URL",
    response_class=HTMLResponse,
    responses=_PAGES | problems(AlreadyDecided, 413, 415, 503),
    openapi_extra={
        "parameters": _PLACES,
        "requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": _FORM}}},
    },
)
async def answer(request: Request) -> Response:
    """Decide what the page of this URL shows; the URL is used up."""
    refuse_unknown(request)
    settings = load(DecisionSettings)
    form = await read_form(request, max_bytes=settings.max_body_bytes)
    where = request.path_params
    job = await deciding.by_token(where["jobId"], where["token"], redis_address=settings.redis_address)
    if job is None or job.pending is None:
        return page.gone()
    ask, caller = job.pending["id"], job.record["caller"]
    origin = deciding.Origin("url", request.state.request_id, client_address(request), settings.audit_ttl)
    try:
        decision = page.decision_in(form, job.pending)
        await deciding.decide(
            job.job_id, ask, decision, caller=caller, origin=origin, redis_address=settings.redis_address
        )
    except InvalidRequest as error:
        return page.asking(job.pending, error.detail)
    except (AlreadyDecided, NotFound):
        return page.gone()
    return page.done(decision.decision)
