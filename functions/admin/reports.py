"""The routes of what operators see: the overview, credentials and usage of callers, and the audit list."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ConfigDict, Field, StrictStr

from functions.admin import oversight, overview
from functions.admin.access import require_admin, require_viewer
from functions.admin.audit import audited
from functions.admin.callers import CallerId
from shared.api.models import Wire
from shared.configuration.settings import AdminSettings, load
from shared.http.body import read_json
from shared.http.describe import problems, takes
from shared.services.usage import By

router = APIRouter(prefix="/admin/api", tags=["admin"], responses=problems(401, 403, 404, 422, 429, 503))
_VIEWER, _ADMIN = [Depends(require_viewer)], [Depends(require_admin)]


class Grant(Wire):
    """The other callers that may use a credential; all others may not."""

    model_config = ConfigDict(extra="forbid")

    users: list[Annotated[StrictStr, Field(max_length=64)]] = Field(max_length=1000, description="Ids of callers.")


@router.get("/overview", summary="Read what happens and what is wrong", dependencies=_VIEWER)
async def read_overview(
    span: Annotated[overview.Span, Query(description="The time that the series cover.")] = "1h",
) -> JSONResponse:
    """Return what is wrong now, the queue, the slots, the spending of today, and what jobs did over time."""
    return JSONResponse(await overview.read(span, load(AdminSettings)))


@router.get(
    "/usage",
    summary="Read the usage of all callers",
    dependencies=_VIEWER,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def usage(
    days: Annotated[int, Query(ge=1, le=400, description="The number of days, including today.")] = 30,
    by: Annotated[list[By] | None, Query(description="Add up by these fields; by default date, caller, model.")] = None,
    form: Annotated[Literal["json", "csv"], Query(alias="format", description="`csv` for spreadsheets.")] = "json",
) -> Response:
    """Return cost, jobs and tokens, the latest day first. Jobs and saved costs are in the rows without a model."""
    fields = list(dict.fromkeys(by or ("date", "caller", "model")))
    settings = load(AdminSettings)
    if form == "csv":
        name = {"Content-Disposition": 'attachment; filename="usage.csv"'}
        return Response(await oversight.usage_csv(days, fields, settings), headers=name, media_type="text/csv")
    return JSONResponse(await oversight.usage(days, fields, settings))


@router.get("/audit", summary="List what was done", dependencies=_VIEWER)
async def audit_list(
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query(pattern="^[0-9]{1,15}$")] = None,
) -> JSONResponse:
    """List the actions of operators and callers, and logins, the latest first."""
    return JSONResponse(await oversight.audit_page(limit, cursor, load(AdminSettings)))


@router.get("/credentials", summary="List the credentials of all callers", dependencies=_VIEWER)
async def credential_list() -> JSONResponse:
    """List the credentials with their last use and the callers that may use them; never a value."""
    return JSONResponse(await oversight.credential_list(load(AdminSettings)))


@router.put(
    "/callers/{callerId}/credentials/{name}/users",
    summary="Set who may use a credential",
    dependencies=_ADMIN,
    responses=problems(400, 413, 415),
    openapi_extra=takes(Grant),
)
async def grant_credential(
    request: Request, caller_id: CallerId, name: Annotated[str, Path(max_length=64)]
) -> JSONResponse:
    """Let other callers use a caller's credential, for jobs that start from now on, and no others."""
    settings = load(AdminSettings)
    wanted = await read_json(request, Grant, max_bytes=settings.max_body_bytes)
    users = list(dict.fromkeys(wanted.users))
    answer = await oversight.grant(caller_id, name, users, settings)
    return await audited(request, "grant_credential", answer, caller=caller_id, credential=name, users=users)
