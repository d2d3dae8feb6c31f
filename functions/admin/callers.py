"""The routes of callers: their keys and their policies."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse
from pydantic import ConfigDict, Field, StrictStr

from functions.admin import service
from functions.admin.access import require_admin, require_viewer
from functions.admin.audit import audited
from shared.api.models import Wire
from shared.api.policies import NO_POLICY, Policy
from shared.api.vocabulary import Scope
from shared.configuration.settings import AdminSettings, load
from shared.http.body import read_json
from shared.http.describe import problems, takes

router = APIRouter(prefix="/admin/api", tags=["admin"], responses=problems(401, 403, 404, 422, 429, 503))
CallerId = Annotated[str, Path(alias="callerId", max_length=64)]
_VIEWER, _ADMIN = [Depends(require_viewer)], [Depends(require_admin)]


class NewCaller(Wire):
    """A caller to create a key for."""

    model_config = ConfigDict(extra="forbid")

    name: StrictStr = Field(description="1 to 100 printable characters; no other caller has it.")
    scopes: list[Scope] = Field(
        default_factory=list, min_length=1, max_length=4, description="By default submit, read and decide."
    )
    policy: Policy = NO_POLICY


class Rotation(Wire):
    """How long the present key works beside the new one."""

    model_config = ConfigDict(extra="forbid")

    overlap_seconds: int = Field(86_400, ge=0, le=2_592_000, strict=True)


@router.get("/callers", summary="List the callers", dependencies=_VIEWER)
async def list_callers() -> JSONResponse:
    """List the callers that have keys. The response contains no secret."""
    return JSONResponse(await service.caller_list(load(AdminSettings)))


@router.post(
    "/callers",
    summary="Create a key for a new caller",
    dependencies=_ADMIN,
    responses=problems(400, 413, 415),
    openapi_extra=takes(NewCaller),
)
async def create_caller(request: Request) -> JSONResponse:
    """Create a key. Only this response contains the key and the webhook secret."""
    settings = load(AdminSettings)
    wanted = await read_json(request, NewCaller, max_bytes=settings.max_body_bytes)
    answer = await service.create_caller(wanted.name, wanted.policy, wanted.scopes, settings)
    return await audited(request, "create_caller", answer, caller=answer["id"], scopes=wanted.scopes)


@router.post(
    "/callers/{callerId}/rotate",
    summary="Replace a caller's key",
    dependencies=_ADMIN,
    responses=problems(400, 413, 415),
    openapi_extra=takes(Rotation),
)
async def rotate_key(request: Request, caller_id: CallerId) -> JSONResponse:
    """Create another key for a caller. The present one works for the overlap; only this response has the new one."""
    settings = load(AdminSettings)
    wanted = await read_json(request, Rotation, max_bytes=settings.max_body_bytes)
    answer = await service.rotate_key(caller_id, wanted.overlap_seconds, settings)
    return await audited(request, "rotate_key", answer, caller=caller_id, overlap_seconds=wanted.overlap_seconds)


@router.get("/callers/{callerId}/policy", summary="Read a caller's policy", dependencies=_VIEWER)
async def read_policy(caller_id: CallerId) -> JSONResponse:
    """Return the limits in which the caller differs from the deployment."""
    return JSONResponse(await service.read_policy(caller_id, load(AdminSettings)))


@router.put(
    "/callers/{callerId}/policy",
    summary="Set a caller's policy",
    dependencies=_ADMIN,
    responses=problems(400, 413, 415),
    openapi_extra=takes(Policy),
)
async def put_policy(request: Request, caller_id: CallerId) -> JSONResponse:
    """Replace a caller's policy, within 5 s everywhere. An absent field has the limit of the deployment."""
    settings = load(AdminSettings)
    policy = await read_json(request, Policy, max_bytes=settings.max_body_bytes)
    answer: dict[str, Any] = await service.put_policy(caller_id, policy, settings)
    return await audited(request, "put_policy", answer, caller=caller_id, policy=answer)


@router.delete("/callers/{callerId}", summary="Revoke a caller's key", dependencies=_ADMIN)
async def revoke_caller(request: Request, caller_id: CallerId) -> JSONResponse:
    """Revoke a caller's key, cancel its unfinished jobs and end its open streams, within 5 s."""
    await service.revoke_caller(caller_id, load(AdminSettings))
    return await audited(request, "revoke_caller", {"revoked": caller_id}, caller=caller_id)
