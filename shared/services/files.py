"""Callers' files: received, completed and removed, with record and bytes in step."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Literal

import redis.asyncio

from shared.api.errors import CallerStorageFull, KeyRevoked, PayloadTooLarge, Unavailable
from shared.api.ids import new_id
from shared.configuration.settings import FilesSettings
from shared.files.media import BINARY, media_type
from shared.files.objects import Objects, StoreError, objects
from shared.files.storing import FileTooLargeError, adopt, awaited, store
from shared.store.callers import policies
from shared.store.files import files
from shared.store.files.files import MAX_FILES, Begun, FileLimits, NewFile, StoredFile
from shared.store.redis.client import async_client

# Seconds between two renewals of the lease of an upload.
_RENEW_EVERY = 60.0


def unavailable() -> Unavailable:
    """Return the error of a request that needs the object store while it does not answer."""
    return Unavailable(
        "The object store of files (FILES_URL) does not answer. Try again later",
        title="Object store unavailable",
        headers={"Retry-After": "5"},
    )


async def begin(
    name: str, kind: str, size: int, state: Literal["pending", "awaited"], *, caller: str, settings: FilesSettings
) -> tuple[NewFile, Begun]:
    """Record a file whose bytes are to come; raises PayloadTooLarge, CallerStorageFull or KeyRevoked."""
    if size > settings.max_file_bytes:
        raise too_large(settings)
    file = NewFile(new_id(), caller, name, kind, size, state)
    limits = FileLimits(settings.max_file_bytes, settings.max_caller_file_bytes, settings.files_ttl * 1000)
    begun = await files.begin(async_client(settings.redis_address), file, limits)
    if begun == "revoked":
        raise KeyRevoked
    if begun == "many":
        raise CallerStorageFull(f"A caller may have {MAX_FILES} files; delete files that are not used")
    if begun == "full":
        raise await _storage_full(caller, settings)
    return file, begun


async def receive(
    pieces: AsyncIterator[bytes], name: str, declared_type: str, size: int, *, caller: str, settings: FilesSettings
) -> StoredFile:
    """Store a file as its bytes arrive; `size` is -1 when it is unknown.

    Raises the errors of `begin`, Unavailable, and what `pieces` raises. Then neither record nor bytes are left.
    """
    client, where = async_client(settings.redis_address), await opened(settings)
    file, begun = await begin(name, media_type(declared_type, name), size, "pending", caller=caller, settings=settings)
    renew_at = time.monotonic() + _RENEW_EVERY

    async def renew() -> None:
        nonlocal renew_at
        if time.monotonic() >= renew_at:
            renew_at = time.monotonic() + _RENEW_EVERY
            if not await files.renew(client, file.id):
                raise KeyRevoked

    try:
        try:
            stored = await store(where, begun.path, pieces, most=begun.held, media_type=file.media_type, on_piece=renew)
        except FileTooLargeError:
            # Without a declared size, the caller's quota may have left less than a file may have.
            whole = begun.held >= settings.max_file_bytes or size >= 0
            raise too_large(settings) if whole else await _storage_full(caller, settings) from None
        except StoreError:
            raise unavailable() from None
    except BaseException:
        # Also when the client goes away. What fails here is left to the reaper.
        await asyncio.shield(asyncio.ensure_future(discard(client, where, file.id, begun.path)))
        raise
    kind = stored.kind if file.media_type == BINARY and stored.kind else file.media_type
    # When Redis fails here, the file may be ready all the same. The reaper finds it if it is not.
    state = await files.finish(
        client, file.id, size=stored.size, sha256=stored.sha256, media_type=kind, kind=stored.kind
    )
    if state != "ready":
        await discard(client, where, file.id, begun.path)
        if state == "revoked":
            raise KeyRevoked
        raise Unavailable("The upload took too long. Send the file again", headers={"Retry-After": "1"})
    expires = begun.created + settings.files_ttl * 1000
    return StoredFile(
        file.id,
        caller,
        "ready",
        name,
        kind,
        stored.size,
        stored.sha256,
        stored.kind,
        begun.path,
        begun.created,
        expires,
    )


async def complete(client: redis.asyncio.Redis, where: Objects, file: StoredFile) -> StoredFile | None:
    """Make an awaited file ready when its bytes have arrived; None until then. Raises StoreError."""
    stored = await adopt(where, file.path, file.size, file.media_type)
    if stored is None:
        return None
    state = await files.finish(
        client, file.file_id, size=stored.size, sha256=stored.sha256, media_type=file.media_type, kind=stored.kind
    )
    if state != "ready":
        await where.remove(file.path)
        return None
    await where.remove(awaited(file.path))
    return await files.find_any(client, file.file_id)


async def discard(client: redis.asyncio.Redis, where: Objects, file_id: str, path: str) -> None:
    """Remove the bytes of a file and then its record; the reaper does what fails here."""
    try:
        await where.remove(path)
        if where.can_presign:
            await where.remove(awaited(path))
        await files.forget(client, file_id)
    except (*StoreError, redis.RedisError):
        pass


async def opened(settings: FilesSettings) -> Objects:
    """Return the object store; raises Unavailable when its directory cannot be made."""
    try:
        return objects(settings)
    except StoreError:
        raise unavailable() from None


def too_large(settings: FilesSettings) -> PayloadTooLarge:
    """Return the error of a file above the limit. The rest of the body is not read."""
    return PayloadTooLarge(
        f"The file exceeds MAX_FILE_BYTES = {settings.max_file_bytes} bytes", headers={"Connection": "close"}
    )


async def _storage_full(caller: str, settings: FilesSettings) -> CallerStorageFull:
    own = (await policies.of(async_client(settings.redis_address), caller)).max_file_bytes
    limit = "MAX_CALLER_FILE_BYTES" if own is None else "maxFileBytes of the caller's policy"
    return CallerStorageFull(
        f"The file does not fit into {limit} = {own or settings.max_caller_file_bytes} bytes, "
        "which the caller's files may hold together; delete files that are not used",
        headers={"Connection": "close"},
    )
