"""The routes of files."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from functions.files import outputs, service
from functions.files.content import download, headers_of, is_unchanged, range_of
from functions.files.multipart import OVERHEAD, MultipartFile
from shared.api.errors import (
    CallerStorageFull,
    FieldError,
    InvalidRequest,
    NotFinished,
    PayloadTooLarge,
    RangeNotSatisfiable,
)
from shared.api.files import MAX_NAME, FilePage, FileView, PresignRequest, check_name
from shared.api.outputs import ArtifactList
from shared.configuration.settings import FilesSettings, load
from shared.http.answers import as_json
from shared.http.body import read_json
from shared.http.callers import caller_of
from shared.http.describe import BODIES, header, in_path, problems
from shared.http.direct import DirectRoute
from shared.http.head import HEAD_ONLY
from shared.http.headers import declared_length, media_type
from shared.http.query import refuse_unknown

router = APIRouter(tags=["files"], route_class=DirectRoute)
lists = APIRouter(tags=["files"])
_FILE_ID = in_path("fileId", "The `fileId` of the file.")
_ONE = {"parameters": [_FILE_ID]}
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_JOB_ID = in_path("jobId", "The `jobId` of the job.")
_JOB: dict[str, Any] = {"parameters": [_JOB_ID]}
_NAME = {
    "name": "name",
    "in": "query",
    "description": "The file's name; by default the one in a multipart body, or `file`.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_NAME},
}
_UPLOAD = {
    "name": "upload",
    "in": "query",
    "description": "With `presigned` the body is JSON, and the response says where to send the bytes.",
    "schema": {"type": "string", "enum": ["presigned"]},
}
_RANGE = header("Range", "One range of bytes, such as `bytes=0-99`.", {"type": "string"})
BODIES[PresignRequest.__name__] = PresignRequest
_BODY = {
    "required": True,
    "content": {
        "application/octet-stream": _BINARY,
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"file": {"type": "string", "format": "binary"}},
                "required": ["file"],
                "additionalProperties": False,
            }
        },
        "application/json": {"schema": {"$ref": f"#/components/schemas/{PresignRequest.__name__}"}},
    },
}
_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"description": "The content, as a download.", "content": {"application/octet-stream": _BINARY}},
    206: {"description": "The requested range.", "content": {"application/octet-stream": _BINARY}},
    302: {"description": "In Lambda: the content is at `Location`, for five minutes."},
    304: {"description": "The content is the one that `If-None-Match` names."},
}

_PATCH: dict[int | str, dict[str, Any]] = {
    **_CONTENT,
    **{
        status: {"description": description, "content": {"text/x-diff": _BINARY}}
        for status, description in ((200, "The patch."), (206, "The requested range."))
    },
}


@router.post(
    "/api/files",
    summary="Upload a file",
    status_code=201,
    response_model=FileView,
    responses={
        201: {"description": "Stored, or with `upload=presigned` recorded."},
        **problems(400, 401, 413, 415, 422, CallerStorageFull, 503),
    },
    openapi_extra={"parameters": [_NAME, _UPLOAD], "requestBody": _BODY},
)
async def upload_file(request: Request) -> Response:
    """Store a file: the body is its content, or `multipart/form-data` with one part `file`.

    Jobs name it by its `fileId`. It is deleted FILES_TTL seconds after its upload.
    """
    settings = load(FilesSettings)
    caller = await caller_of(request, settings)
    if "upload" in request.query_params:
        _check_upload(request)
        body = await read_json(request, PresignRequest, max_bytes=settings.max_body_bytes)
        return as_json(await service.presign(body, caller=caller, settings=settings), 201)
    length = declared_length(request.headers)
    is_form = media_type(request.headers) == "multipart/form-data"
    if length is not None and length > settings.max_file_bytes + (OVERHEAD if is_form else 0):
        raise PayloadTooLarge(
            f"The file exceeds MAX_FILE_BYTES = {settings.max_file_bytes} bytes", headers={"Connection": "close"}
        )
    name = _name_in(request)
    if not is_form:
        declared = request.headers.get("content-type", "")
        size = -1 if length is None else length
        stored = await service.upload(
            request.stream(), name or "file", declared, size, caller=caller, settings=settings
        )
        return as_json(stored, 201)
    form = MultipartFile(request)
    await form.open()
    name = name or _checked(form.name or "file", "/file")
    stored = await service.upload(form.pieces(), name, form.media_type, -1, caller=caller, settings=settings)
    return as_json(stored, 201)


@lists.get(
    "/api/files",
    summary="List your files",
    response_model=FilePage,
    responses={200: {"description": "A page, newest first."}, **problems(401, 422, 503)},
)
async def list_files(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100, description="The number of files at most.")] = 20,
    cursor: Annotated[
        str | None, Query(pattern="^[0-9]{1,15}$", description="The `nextCursor` of the previous page.")
    ] = None,
) -> Response:
    """List the caller's files, newest first."""
    settings = load(FilesSettings)
    caller = await caller_of(request, settings)
    return as_json(await service.page(limit, cursor, caller=caller, settings=settings))


@router.get(
    "/api/files/{fileId}",
    summary="Read a file's description",
    response_model=FileView,
    responses={200: {"description": "The file, without its content."}, **problems(401, 404, 422, 503)},
    openapi_extra=_ONE,
)
async def read_file(request: Request) -> Response:
    """Return a file's name, size and hash. After a presigned upload the gateway reads the bytes here."""
    settings = load(FilesSettings)
    caller = await caller_of(request, settings)
    return as_json(service.view_of(await service.read(request.path_params["fileId"], caller=caller, settings=settings)))


@router.get(
    "/api/files/{fileId}/content",
    summary="Download a file",
    response_class=StreamingResponse,
    responses={**_CONTENT, **problems(401, 404, NotFinished, RangeNotSatisfiable, 422, 503)},
    openapi_extra={"parameters": [_FILE_ID, _RANGE]},
)
async def read_content(request: Request) -> Response:
    """Return the content of a file, or one range of it, as a download."""
    settings = load(FilesSettings)
    caller = await caller_of(request, settings)
    file = await service.read(request.path_params["fileId"], caller=caller, settings=settings)
    return await _content_of(request, file, file.name, settings)


@router.get(
    "/api/query/{jobId}/artifacts",
    summary="List a job's artifacts",
    response_model=ArtifactList,
    responses={200: {"description": "All artifacts."}, **problems(401, 404, NotFinished, 503)},
    openapi_extra=_JOB,
)
async def list_artifacts(request: Request) -> Response:
    """List the files that the run of a job left in `outputs/`, whatever the job's state at its end.

    Those of a cancelled job are there some seconds later.
    """
    settings = load(FilesSettings)
    caller = await caller_of(request, settings)
    return as_json(await outputs.artifacts(request.path_params["jobId"], caller=caller, settings=settings))


@router.get(
    "/api/query/{jobId}/artifacts/{path:path}",
    summary="Download an artifact",
    response_class=StreamingResponse,
    responses={**_CONTENT, **problems(401, 404, NotFinished, RangeNotSatisfiable, 503)},
    openapi_extra={"parameters": [_JOB_ID, in_path("path", "The `path` of the artifact."), _RANGE]},
)
async def read_artifact(request: Request) -> Response:
    """Return the content of an artifact, or one range of it, as a download."""
    settings = load(FilesSettings)
    caller = await caller_of(request, settings)
    job_id, path = request.path_params["jobId"], request.path_params["path"]
    file = await outputs.artifact(job_id, path, caller=caller, settings=settings)
    return await _content_of(request, file, file.name, settings)


@router.get(
    "/api/query/{jobId}/patch",
    summary="Download a job's patch",
    response_class=StreamingResponse,
    responses={**_PATCH, **problems(401, 404, NotFinished, RangeNotSatisfiable, 503)},
    openapi_extra={"parameters": [_JOB_ID, _RANGE]},
)
async def read_patch(request: Request) -> Response:
    """Return the changes in the working directory as a patch for `git apply`; empty when nothing changed."""
    settings = load(FilesSettings)
    caller = await caller_of(request, settings)
    job_id = request.path_params["jobId"]
    file = await outputs.patch(job_id, caller=caller, settings=settings)
    return await _content_of(request, file, f"{job_id}.patch", settings)


@router.get(
    "/api/downloads/{token}",
    summary="Download a file by a token",
    response_class=StreamingResponse,
    responses={**_CONTENT, **problems(404, RangeNotSatisfiable, 503)},
    openapi_extra={"parameters": [in_path("token", "The token, which the admin API has made."), _RANGE]},
)
async def read_download(request: Request) -> Response:
    """Return the content of the file that a token reads: the dashboard has no caller's key."""
    settings = load(FilesSettings)
    refuse_unknown(request)
    file = await outputs.of_token(request.path_params["token"], settings)
    return await _content_of(request, file, file.name, settings, is_for_page=True)


async def _content_of(
    request: Request, file: service.StoredFile, name: str, settings: FilesSettings, *, is_for_page: bool = False
) -> Response:
    if file.sha256 is None:
        raise NotFinished("The bytes of the presigned upload have not arrived, or are not as many as announced")
    headers = headers_of(name, file.sha256)
    if is_unchanged(request.headers, file.sha256):
        return Response(status_code=304, headers=headers)
    part = range_of(request.headers, file.size, file.sha256)
    found: AsyncIterator[bytes] | str = _nothing()
    if not request.scope.get(HEAD_ONLY) and file.size > 0:
        found = await service.content(file, part, settings=settings, is_for_page=is_for_page)
    if isinstance(found, str):
        return Response(status_code=302, headers={"Location": found, "Cache-Control": "no-store"})
    return download(found, headers, file.media_type, file.size, part)


@router.delete(
    "/api/files/{fileId}",
    summary="Delete a file",
    status_code=204,
    responses={204: {"description": "Deleted, now or before."}, **problems(401, 404, 422, 503)},
    openapi_extra=_ONE,
)
async def delete_file(request: Request) -> Response:
    """Delete a file. Jobs that were submitted with it still run with it."""
    settings = load(FilesSettings)
    caller = await caller_of(request, settings)
    await service.remove(request.path_params["fileId"], caller=caller, settings=settings)
    return Response(status_code=204)


async def _nothing() -> AsyncIterator[bytes]:
    none: tuple[bytes, ...] = ()
    for piece in none:
        yield piece


def _check_upload(request: Request) -> None:
    if request.query_params["upload"] != "presigned":
        message = "should be presigned, or absent"
        raise InvalidRequest(f"upload: {message}", errors=(FieldError("/upload", message),))
    if "name" in request.query_params:
        message = "belongs into the body of a presigned upload"
        raise InvalidRequest(f"name: {message}", errors=(FieldError("/name", message),))


def _name_in(request: Request) -> str | None:
    name = request.query_params.get("name")
    return None if name is None else _checked(name, "/name")


def _checked(name: str, pointer: str) -> str:
    try:
        return check_name(name)
    except ValueError as error:
        raise InvalidRequest(f"{pointer[1:]}: {error}", errors=(FieldError(pointer, str(error)),)) from None
