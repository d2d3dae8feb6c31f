"""The routes of all callers' batches and kept sessions."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse

from functions.admin import listing
from functions.admin.access import require_viewer
from shared.configuration.settings import AdminSettings, load
from shared.http.describe import problems

router = APIRouter(prefix="/admin/api", tags=["admin"], responses=problems(401, 403, 404, 422, 429, 503))
_VIEWER = [Depends(require_viewer)]
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(pattern="^[0-9]{1,15}$")]


@router.get("/batches", summary="List the batches of all callers", dependencies=_VIEWER)
async def list_batches(limit: Limit = 50, cursor: Cursor = None) -> JSONResponse:
    """List the batches of all callers, newest first."""
    return JSONResponse(await listing.batch_page(limit, cursor, load(AdminSettings)))


@router.get("/sessions", summary="List the kept sessions of all callers", dependencies=_VIEWER)
async def list_sessions(limit: Limit = 50, cursor: Cursor = None) -> JSONResponse:
    """List the sessions that can be continued, the last to expire first; never their content."""
    return JSONResponse(await listing.session_page(limit, cursor, load(AdminSettings)))
