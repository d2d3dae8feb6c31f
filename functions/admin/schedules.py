"""The routes of all callers' schedules."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse

from functions.admin import listing
from functions.admin.access import require_admin, require_viewer
from functions.admin.audit import audited
from shared.configuration.settings import AdminSettings, load
from shared.http.describe import problems
from shared.services import schedules

router = APIRouter(prefix="/admin/api/schedules", tags=["admin"], responses=problems(401, 403, 404, 422, 429, 503))
ScheduleId = Annotated[str, Path(alias="scheduleId", max_length=64)]
_VIEWER, _ADMIN = [Depends(require_viewer)], [Depends(require_admin)]


@router.get("", summary="List the schedules of all callers", dependencies=_VIEWER)
async def list_schedules(
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query(pattern="^[0-9]{1,15}$")] = None,
) -> JSONResponse:
    """List the schedules of all callers, newest first."""
    return JSONResponse(await listing.schedule_page(limit, cursor, load(AdminSettings)))


@router.get("/{scheduleId}", summary="Read a schedule of any caller", dependencies=_VIEWER)
async def read_schedule(schedule_id: ScheduleId) -> JSONResponse:
    """Return a schedule with its last 100 runs."""
    found = await schedules.read_with_runs(schedule_id, caller=None, settings=load(AdminSettings))
    return JSONResponse(found.model_dump(by_alias=True))


@router.post("/{scheduleId}/pause", summary="Pause a schedule of any caller", dependencies=_ADMIN)
async def pause_schedule(request: Request, schedule_id: ScheduleId) -> JSONResponse:
    """Make no more jobs of a schedule."""
    found = await schedules.pause(schedule_id, paused=True, caller=None, settings=load(AdminSettings))
    return await audited(request, "pause_schedule", found.model_dump(by_alias=True), schedule=schedule_id)


@router.post("/{scheduleId}/resume", summary="Resume a schedule of any caller", dependencies=_ADMIN)
async def resume_schedule(request: Request, schedule_id: ScheduleId) -> JSONResponse:
    """Make jobs of a schedule again, from its next due time on."""
    found = await schedules.pause(schedule_id, paused=False, caller=None, settings=load(AdminSettings))
    return await audited(request, "resume_schedule", found.model_dump(by_alias=True), schedule=schedule_id)


@router.delete("/{scheduleId}", summary="Delete a schedule of any caller", dependencies=_ADMIN)
async def delete_schedule(request: Request, schedule_id: ScheduleId) -> JSONResponse:
    """Delete a schedule. Its jobs stay."""
    await schedules.delete(schedule_id, caller=None, settings=load(AdminSettings))
    return await audited(request, "delete_schedule", {"deleted": schedule_id}, schedule=schedule_id)
