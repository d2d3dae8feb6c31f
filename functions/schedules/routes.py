"""The routes of schedules."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from shared.api.models import Accepted
from shared.api.schedules import Schedule, ScheduleDetail, SchedulePage, SchedulePatch, ScheduleRequest
from shared.configuration.settings import SubmitSettings, load
from shared.http.answers import as_accepted, as_json
from shared.http.body import read_json
from shared.http.callers import caller_of
from shared.http.describe import ACCEPTED_HEADERS, SUBMISSION_ERRORS, in_path, problems, takes
from shared.http.direct import DirectRoute
from shared.http.forwarded import prefix_of
from shared.http.idempotency import IDEMPOTENCY_KEY, idempotency_key_in
from shared.services import schedules

router = APIRouter(tags=["schedules"], route_class=DirectRoute)
lists = APIRouter(tags=["schedules"])
_SCHEDULE_ID = {"parameters": [in_path("scheduleId", "The `scheduleId` of the schedule.")]}


@router.post(
    "/api/schedules",
    summary="Create a schedule",
    status_code=201,
    response_model=Schedule,
    responses={
        201: {"description": "The schedule with its next five due times."},
        **problems(400, 401, 403, 413, 415, 422, *SUBMISSION_ERRORS, 503),
    },
    openapi_extra={**takes(ScheduleRequest), "parameters": [IDEMPOTENCY_KEY]},
)
async def create_schedule(request: Request) -> Response:
    """Run a query at the times of a cron expression. The query is checked now and again at each due time."""
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    wanted = await read_json(request, ScheduleRequest, max_bytes=settings.max_body_bytes)
    made, replayed = await schedules.create(
        wanted,
        request_id=request.state.request_id,
        caller=caller,
        idempotency_key=idempotency_key_in(request),
        settings=settings,
    )
    headers = {"Location": f"{prefix_of(request)}/api/schedules/{made.schedule_id}"}
    return as_json(made, 201, headers | ({"Idempotent-Replayed": "true"} if replayed else {}))


@lists.get(
    "/api/schedules",
    summary="List your schedules",
    response_model=SchedulePage,
    responses={200: {"description": "A page, newest first."}, **problems(401, 422, 503)},
)
async def list_schedules(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100, description="The number of schedules at most.")] = 20,
    cursor: Annotated[
        str | None, Query(pattern="^[0-9]{1,15}$", description="The `nextCursor` of the previous page.")
    ] = None,
) -> Response:
    """List the caller's schedules, newest first, without their runs."""
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    found, end = await schedules.page(limit, cursor, caller=caller, settings=settings)
    return as_json(SchedulePage(schedules=[one for _, one in found], next_cursor=end))


@router.get(
    "/api/schedules/{scheduleId}",
    summary="Read a schedule",
    response_model=ScheduleDetail,
    responses={200: {"description": "The schedule with its last 100 runs."}, **problems(401, 404, 422, 503)},
    openapi_extra=_SCHEDULE_ID,
)
async def read_schedule(request: Request) -> Response:
    """Return a schedule, its next due times and its last runs."""
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    return as_json(await schedules.read_with_runs(_id(request), caller=caller, settings=settings))


@router.patch(
    "/api/schedules/{scheduleId}",
    summary="Change a schedule",
    response_model=Schedule,
    responses={
        200: {"description": "The changed schedule."},
        **problems(400, 401, 403, 404, 413, 415, 422, *SUBMISSION_ERRORS, 503),
    },
    openapi_extra={**takes(SchedulePatch), **_SCHEDULE_ID},
)
async def change_schedule(request: Request) -> Response:
    """Change the fields that the body has. The next due time is counted from now."""
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    patch = await read_json(request, SchedulePatch, max_bytes=settings.max_body_bytes)
    return as_json(await schedules.change(_id(request), patch, caller=caller, settings=settings))


@router.delete(
    "/api/schedules/{scheduleId}",
    summary="Delete a schedule",
    status_code=204,
    responses={204: {"description": "Deleted. Its jobs stay."}, **problems(401, 404, 422, 503)},
    openapi_extra=_SCHEDULE_ID,
)
async def delete_schedule(request: Request) -> Response:
    """Delete a schedule. Jobs that it has made stay as they are."""
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    await schedules.delete(_id(request), caller=caller, settings=settings)
    return Response(status_code=204)


@router.post(
    "/api/schedules/{scheduleId}/pause",
    summary="Pause a schedule",
    response_model=Schedule,
    responses={200: {"description": "The paused schedule."}, **problems(401, 404, 422, 503)},
    openapi_extra=_SCHEDULE_ID,
)
async def pause_schedule(request: Request) -> Response:
    """Make no more jobs. Jobs that exist go on."""
    return await _pause(request, paused=True)


@router.post(
    "/api/schedules/{scheduleId}/resume",
    summary="Resume a schedule",
    response_model=Schedule,
    responses={200: {"description": "The schedule with its next five due times."}, **problems(401, 404, 422, 503)},
    openapi_extra=_SCHEDULE_ID,
)
async def resume_schedule(request: Request) -> Response:
    """Make jobs again, from the next due time on. Due times during the pause are not made up for."""
    return await _pause(request, paused=False)


@router.post(
    "/api/schedules/{scheduleId}/run",
    summary="Run a schedule now",
    status_code=202,
    response_model=Accepted,
    responses={
        202: {"description": "The job of the run.", "headers": ACCEPTED_HEADERS},
        **problems(401, 403, 404, 422, *SUBMISSION_ERRORS, 503),
    },
    openapi_extra={"parameters": [*_SCHEDULE_ID["parameters"], IDEMPOTENCY_KEY]},
)
async def run_schedule(request: Request) -> Response:
    """Submit the query now, whether the schedule is paused or its last job still runs."""
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    answer, headers = await schedules.run_now(
        _id(request),
        request_id=request.state.request_id,
        caller=caller,
        idempotency_key=idempotency_key_in(request),
        settings=settings,
    )
    request.state.job_id = answer.job_id
    if answer.kind == "replayed":
        headers["Idempotent-Replayed"] = "true"
    headers |= {"Location": f"{prefix_of(request)}/api/query/{answer.job_id}", "Retry-After": "1"}
    return as_accepted(answer.request_id, "queued", answer.job_id, headers)


async def _pause(request: Request, *, paused: bool) -> Response:
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    return as_json(await schedules.pause(_id(request), paused=paused, caller=caller, settings=settings))


def _id(request: Request) -> str:
    return str(request.path_params["scheduleId"])
