"""Callers' files: uploads, presigned uploads, lists, content and deletion."""

import os
from collections.abc import AsyncIterator

from shared.api.errors import FieldError, InvalidRequest, NotFound
from shared.api.files import FilePage, FileUpload, FileView, PresignRequest
from shared.api.ids import is_id
from shared.api.times import rfc3339
from shared.configuration.settings import FilesSettings
from shared.files.media import media_type
from shared.files.objects import StoreError
from shared.files.storing import awaited
from shared.services import files as shared_files
from shared.store.files import files
from shared.store.files.files import LEASE
from shared.store.files.files import StoredFile as StoredFile  # noqa: PLC0414 -- for the routes
from shared.store.redis.client import async_client

# Seconds for which a presigned URL can be used: an upload ends before its lease.
_UPLOAD_SECONDS, _DOWNLOAD_SECONDS = LEASE // 1000 - 60, 300
# Bytes of an image, and of another file, that a function can answer: in its JSON they become base64, or up to six each.
_MOST_SHOWN, _MOST_TEXT_SHOWN = 4_000_000, 1_000_000


async def upload(
    pieces: AsyncIterator[bytes], name: str, declared_type: str, size: int, *, caller: str, settings: FilesSettings
) -> FileView:
    """Store a file as its bytes arrive; `size` is -1 when it is unknown. Raises the errors of `receive`."""
    stored = await shared_files.receive(pieces, name, declared_type, size, caller=caller, settings=settings)
    return view_of(stored)


async def presign(request: PresignRequest, *, caller: str, settings: FilesSettings) -> FileView:
    """Record a file that the client sends to the object store itself; raises InvalidRequest where it cannot."""
    where = await shared_files.opened(settings)
    if not where.can_presign:
        message = "is not possible: FILES_URL is a directory. Send the file to POST /api/files"
        raise InvalidRequest(f"upload: presigned {message}", errors=(FieldError("/upload", f"presigned {message}"),))
    kind = request.media_type or media_type("", request.name)
    new, begun = await shared_files.begin(request.name, kind, request.size, "awaited", caller=caller, settings=settings)
    try:
        url = await where.presign(awaited(begun.path), "PUT", _UPLOAD_SECONDS)
    except StoreError:
        raise shared_files.unavailable() from None
    expires = rfc3339(begun.created + _UPLOAD_SECONDS * 1000)
    view = {
        "fileId": new.id, "name": new.name, "size": new.size, "sha256": None, "mediaType": kind,
        "createdAt": rfc3339(begun.created), "expiresAt": rfc3339(begun.created + settings.files_ttl * 1000),
        "upload": FileUpload(method="PUT", url=url, headers={"Content-Type": kind}, expires_at=expires),
    }  # fmt: skip
    return FileView.model_validate(view)


async def page(limit: int, cursor: str | None, *, caller: str, settings: FilesSettings) -> FilePage:
    """List the caller's files, newest first, from where the page with that cursor ended."""
    before = None if cursor is None else int(cursor)
    found, end = await files.page(async_client(settings.redis_address), caller, limit, before)
    return FilePage(files=[view_of(file) for file in found], next_cursor=None if end is None else str(end))


async def read(file_id: str, *, caller: str, settings: FilesSettings) -> StoredFile:
    """Return one of the caller's files, completed if its bytes have arrived; raises NotFound."""
    client = async_client(settings.redis_address)
    file = await files.find(client, caller, file_id) if is_id(file_id) else None
    if file is None:
        raise NotFound("File not found")
    if file.state == "awaited":
        try:
            file = await shared_files.complete(client, await shared_files.opened(settings), file) or file
        except StoreError:
            raise shared_files.unavailable() from None
    return file


async def content(
    file: StoredFile, part: tuple[int, int] | None, *, settings: FilesSettings, is_for_page: bool = False
) -> AsyncIterator[bytes] | str:
    """Return the content of a ready file, or in Lambda a URL of the object store to redirect to; raises NotFound.

    Images and patches that the dashboard shows are not redirected: its policy allows no content of other hosts.
    """
    where = await shared_files.opened(settings)
    fits = is_for_page and file.size <= (_MOST_SHOWN if file.kind else _MOST_TEXT_SHOWN)
    try:
        if where.can_presign and "AWS_LAMBDA_FUNCTION_NAME" in os.environ and not fits:
            # A function answers 6 MB at most.
            return await where.presign(file.path, "GET", _DOWNLOAD_SECONDS)
        return await where.read(file.path, *(part or (0, file.size)))
    except FileNotFoundError:
        raise NotFound("File not found") from None
    except StoreError:
        raise shared_files.unavailable() from None


async def remove(file_id: str, *, caller: str, settings: FilesSettings) -> None:
    """Delete one of the caller's files, again if need be; raises NotFound for a file that never was the caller's.

    Jobs that were submitted with it keep its bytes until they end.
    """
    client = async_client(settings.redis_address)
    deleted, path = await files.delete(client, caller, file_id) if is_id(file_id) else (False, "")
    if not deleted:
        raise NotFound("File not found")
    if path:
        await shared_files.discard(client, await shared_files.opened(settings), file_id, path)


def view_of(file: StoredFile) -> FileView:
    """Return a file as the API shows it."""
    return FileView(
        file_id=file.file_id, name=file.name, size=file.size, sha256=file.sha256, media_type=file.media_type,
        created_at=rfc3339(file.created), expires_at=rfc3339(file.expires),
    )  # fmt: skip
