"""Store files of a run in the object store: patiently, within the caller's quota, and pending until the job ends."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import redis.asyncio
from redis.exceptions import RedisError

from functions.worker.outputs.artifacts import open_regular
from shared.api.ids import new_id
from shared.configuration.settings import WorkerSettings
from shared.files.media import BINARY, media_type
from shared.files.objects import StoreError, objects
from shared.files.storing import FileTooLargeError, store
from shared.services.files import discard
from shared.store.files import files
from shared.store.files.files import FileLimits, NewFile
from shared.store.jobs.outputs import OutputFile

# Seconds for which the end of a job waits for an object store or a Redis that does not answer, and between two tries.
WAIT, _PAUSE = 600.0, 1.0
# ms for which a file is pending. It is longer than a Redis may be away, and shorter than what is lost may stay.
_LEASE = 3_300_000
_PIECE = 1 << 18

Pieces = Callable[[], AsyncIterator[bytes]]
"""Returns the pieces of a file, from the beginning, at each call."""


class OmittedError(Exception):
    """A file cannot be kept; `reason` is one of `shared.api.outputs.Omitted`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Uploads:
    """The uploads of one run. The wait for the object store is one for all of its files."""

    def __init__(self, client: redis.asyncio.Redis, caller: str, settings: WorkerSettings, job_id: str) -> None:
        self._client = client
        self._caller = caller
        self._settings = settings
        self._job_id = job_id
        self._limits = FileLimits(
            settings.max_file_bytes, settings.max_caller_file_bytes, settings.files_ttl * 1000, lease_ms=_LEASE
        )
        self._end: float | None = None
        self._gave_up = False

    async def store(self, name: str, size: int, pieces: Pieces, kind: str = "") -> OutputFile:
        """Store a file of at most `size` bytes as a pending one of the caller; raise OmittedError."""
        file = NewFile(new_id(), self._caller, name, media_type(kind, name), size, "pending", self._job_id)
        while not self._gave_up:
            try:
                return await self._try(file, pieces)
            except (*StoreError, RedisError):
                now = asyncio.get_running_loop().time()
                self._end = self._end or now + WAIT
                if now >= self._end:
                    # For all files: each further try takes seconds.
                    self._gave_up = True
                    raise OmittedError("store_unavailable") from None
            await asyncio.sleep(_PAUSE)
        raise OmittedError("store_unavailable")

    async def _try(self, file: NewFile, pieces: Pieces) -> OutputFile:
        begun = await files.begin(self._client, file, self._limits)
        if isinstance(begun, str):
            raise OmittedError("storage_full")
        where = objects(self._settings)
        try:
            stored = await store(where, begun.path, pieces(), most=file.size, media_type=file.media_type)
        except (UnreadableError, FileTooLargeError):
            await discard(self._client, where, file.id, begun.path)
            raise OmittedError("unreadable") from None
        self._end = None
        kind = stored.kind if file.media_type == BINARY and stored.kind else file.media_type
        return OutputFile(file_id=file.id, size=stored.size, sha256=stored.sha256, media_type=kind, kind=stored.kind)

    async def discard(self, file_ids: list[str]) -> None:
        """Remove files that no job has; the reaper removes what stays."""
        try:
            where = objects(self._settings)
            for file in await files.of_job(self._client, self._caller, file_ids):
                if file is not None and file.state == "pending":
                    await discard(self._client, where, file.file_id, file.path)
        except (*StoreError, RedisError):
            pass


class UnreadableError(Exception):
    """A file of the run cannot be read, or has changed."""


async def pieces_of(handle: int, size: int) -> AsyncIterator[bytes]:
    """Yield at most `size` bytes of an open file, and close it."""
    with os.fdopen(handle, "rb") as file:
        left = size
        while left > 0:
            try:
                piece = await asyncio.to_thread(file.read, min(left, _PIECE))
            except OSError:
                raise UnreadableError from None
            if not piece:
                return
            left -= len(piece)
            yield piece


async def pieces_below(root: Path, path: str, size: int) -> AsyncIterator[bytes]:
    """Yield at most `size` bytes of a regular file below a directory; raise UnreadableError."""
    try:
        handle = open_regular(root, path)
    except OSError:
        raise UnreadableError from None
    async for piece in pieces_of(handle, size):
        yield piece
