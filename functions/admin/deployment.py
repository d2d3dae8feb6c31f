"""The routes of the deployment: its MCP servers, its settings, and the recovery of webhooks."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import ConfigDict, Field, StrictStr

from functions.admin import effective, recovery, servers
from functions.admin.access import require_admin, require_viewer
from functions.admin.audit import audited
from shared.api.models import Wire
from shared.api.sent_times import Time
from shared.configuration.settings import AdminSettings, load
from shared.http.body import read_json
from shared.http.describe import problems, takes

router = APIRouter(prefix="/admin/api", tags=["admin"], responses=problems(401, 403, 404, 422, 429, 503))
_VIEWER, _ADMIN = [Depends(require_viewer)], [Depends(require_admin)]


class Trial(Wire):
    """A query whose MCP servers are to be chosen."""

    model_config = ConfigDict(extra="forbid")

    query: StrictStr = Field(min_length=1, max_length=100_000)


class Recovery(Wire):
    """The events that are delivered again: those since a time that no attempt delivered."""

    model_config = ConfigDict(extra="forbid")

    since: Time
    host: Annotated[StrictStr, Field(max_length=300)] | None = Field(
        None, description="Only those for this host, as HOST:PORT; null for all hosts."
    )


@router.get("/mcp", summary="List the MCP servers", dependencies=_VIEWER)
async def list_servers() -> JSONResponse:
    """List the MCP servers with their routing and the tools that a worker has read; never a secret."""
    return JSONResponse(await servers.listed(load(AdminSettings)))


@router.post(
    "/mcp/route",
    summary="Try which MCP servers a query gets",
    dependencies=_VIEWER,
    responses=problems(400, 413, 415),
    openapi_extra=takes(Trial),
)
async def try_route(request: Request) -> JSONResponse:
    """Score all MCP servers for a query, with the reasons. Nothing runs; 404 while MCP_ENABLED is false."""
    settings = load(AdminSettings)
    wanted = await read_json(request, Trial, max_bytes=settings.max_body_bytes)
    return JSONResponse(await servers.route(wanted.query, settings))


@router.delete("/mcp/learned", summary="Delete what was learned of MCP servers", dependencies=_ADMIN)
async def forget_learned(request: Request) -> JSONResponse:
    """Delete the counts of which servers jobs used. Routers forget them within a minute. 404 without MCP_LEARN."""
    deleted = await servers.forget(load(AdminSettings))
    return await audited(request, "delete_learned", {"deleted": deleted}, servers=deleted)


@router.get("/settings", summary="Read the settings", dependencies=_VIEWER)
async def read_settings() -> JSONResponse:
    """Return each variable of this process with its value, without secrets, and its source."""
    found: dict[str, Any] = {"settings": effective.settings()}
    return JSONResponse(found)


@router.post(
    "/webhooks/recover",
    summary="Deliver failed webhooks again",
    dependencies=_ADMIN,
    responses=problems(400, 413, 415),
    openapi_extra=takes(Recovery),
)
async def recover_webhooks(request: Request) -> JSONResponse:
    """Deliver again all events since a time that no attempt delivered, and resume the hosts of these."""
    settings = load(AdminSettings)
    wanted = await read_json(request, Recovery, max_bytes=settings.max_body_bytes)
    count = await recovery.recover(wanted.since, wanted.host, settings)
    return await audited(
        request, "recover_webhooks", {"queued": count}, count=count, since=wanted.since.isoformat(), host=wanted.host
    )
