"""The routes of credentials."""

from fastapi import APIRouter, Request, Response

from functions.credentials import service
from shared.api.credentials import CredentialList, CredentialRequest, StoredCredential
from shared.api.errors import TooManyCredentials
from shared.api.ids import CREDENTIAL_NAME
from shared.configuration.settings import CredentialsSettings, load
from shared.http.answers import as_json
from shared.http.body import read_json
from shared.http.callers import caller_of
from shared.http.describe import in_path, problems, takes
from shared.http.direct import DirectRoute
from shared.http.forwarded import client_address

router = APIRouter(tags=["credentials"], route_class=DirectRoute)
_NAME = {
    "parameters": [
        in_path("name", "The name that jobs use the credential by.")
        | {"schema": {"type": "string", "pattern": CREDENTIAL_NAME}}
    ]
}


@router.put(
    "/api/credentials/{name}",
    summary="Store a credential",
    response_model=StoredCredential,
    responses={
        200: {"description": "Replaced. Jobs that start from now on use the new value."},
        201: {"model": StoredCredential, "description": "Stored."},
        **problems(400, 401, 404, TooManyCredentials, 413, 415, 422, 503),
    },
    openapi_extra={**takes(CredentialRequest), **_NAME},
)
async def put_credential(request: Request) -> Response:
    """Store a secret of the caller's own, or replace it. Only workers can open it; no response shows it again."""
    settings = load(CredentialsSettings)
    caller = await caller_of(request, settings)
    credential = await read_json(request, CredentialRequest, max_bytes=settings.max_body_bytes)
    stored, is_new = await service.put(request.path_params["name"], credential, caller=caller, settings=settings)
    await _record(request, "put_credential", caller)
    return as_json(stored, 201 if is_new else 200)


@router.get(
    "/api/credentials",
    summary="List your credentials",
    response_model=CredentialList,
    responses={200: {"description": "All of them by name, without their values."}, **problems(401, 422, 503)},
)
async def list_credentials(request: Request) -> Response:
    """List the caller's credentials, without their values."""
    settings = load(CredentialsSettings)
    caller = await caller_of(request, settings)
    return as_json(await service.every(caller=caller, settings=settings))


@router.get(
    "/api/credentials/{name}",
    summary="Read a credential",
    response_model=StoredCredential,
    responses={200: {"description": "The credential, without its value."}, **problems(401, 404, 422, 503)},
    openapi_extra=_NAME,
)
async def read_credential(request: Request) -> Response:
    """Return what a credential is for, and when it was stored; never its value."""
    settings = load(CredentialsSettings)
    caller = await caller_of(request, settings)
    return as_json(await service.read(request.path_params["name"], caller=caller, settings=settings))


@router.delete(
    "/api/credentials/{name}",
    summary="Delete a credential",
    status_code=204,
    responses={204: {"description": "Deleted."}, **problems(401, 404, 422, 503)},
    openapi_extra=_NAME,
)
async def delete_credential(request: Request) -> Response:
    """Delete a credential. A job that names it and has not started fails as `credential_unavailable`."""
    settings = load(CredentialsSettings)
    caller = await caller_of(request, settings)
    await service.remove(request.path_params["name"], caller=caller, settings=settings)
    await _record(request, "delete_credential", caller)
    return Response(status_code=204)


async def _record(request: Request, action: str, caller: str) -> None:
    await service.record(
        action,
        request.path_params["name"],
        caller=caller,
        request_id=request.state.request_id,
        address=client_address(request),
        settings=load(CredentialsSettings),
    )
