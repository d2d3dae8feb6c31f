"""The files and attachments of a run: placed in its working directory, and made into blocks that the model is shown."""

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import redis.asyncio
from redis.exceptions import RedisError

from functions.worker.cli.plan import Content, InputsPlan
from shared.api.job_files import MAX_ATTACHED
from shared.api.vocabulary import ErrorCode
from shared.configuration.settings import WorkerSettings
from shared.files.media import HEAD, seen_in
from shared.files.objects import Objects, StoreError, objects
from shared.services.files import complete
from shared.store.files import files
from shared.store.files.files import StoredFile

# Seconds for which a run waits for an object store or a Redis that does not answer, and between two tries.
_WAIT, _PAUSE = 60.0, 1.0
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

T = TypeVar("T")


class InputsError(Exception):
    """The run cannot have its files; `code` says why."""

    def __init__(self, code: ErrorCode = "workspace_failed") -> None:
        super().__init__(code)
        self.code = code


class Inputs:
    """The files and attachments of one run."""

    def __init__(self, plan: InputsPlan, caller: str, client: redis.asyncio.Redis, settings: WorkerSettings) -> None:
        self._plan = plan
        self._caller = caller
        self._client = client
        self._settings = settings

    async def place(self, work: Path) -> list[dict[str, Any]]:
        """Write the files below the working directory and return the attachments as content blocks.

        Raises InputsError. Wait while the object store does not answer.
        """
        plan = self._plan
        if not plan.files and not plan.attachments:
            return []
        found = await _patiently(self._find)
        sizes = [found[one.file_id].size if one.file_id else len(one.data) for _, one in plan.files]
        if sum(sizes) > self._settings.max_workspace_bytes:
            raise InputsError("workspace_too_large")
        for path, one in plan.files:
            await _patiently(lambda path=path, one=one: self._write(work, path, one, found))  # type: ignore[misc]
        return [await _patiently(lambda one=one: self._block(one, found)) for one in plan.attachments]  # type: ignore[misc]

    async def _find(self) -> dict[str, StoredFile]:
        """Return the records of all named files; complete presigned uploads."""
        ids = [one.file_id for one in (*(one for _, one in self._plan.files), *self._plan.attachments) if one.file_id]
        found: dict[str, StoredFile] = {}
        for file_id, file in zip(ids, await files.of_job(self._client, self._caller, ids), strict=True):
            ready = file
            if file is not None and file.sha256 is None:
                ready = found.get(file_id) or await complete(self._client, self._objects, file)
            if ready is None:
                raise InputsError
            found[file_id] = ready
        return found

    @property
    def _objects(self) -> Objects:
        return objects(self._settings)

    async def _pieces(self, one: Content, found: dict[str, StoredFile]) -> AsyncIterator[bytes]:
        """Yield a content; raise InputsError for bytes that are not those of the record."""
        if not one.file_id:
            yield one.data
            return
        file, digest = found[one.file_id], hashlib.sha256()
        if file.size:
            try:
                pieces = await self._objects.read(file.path, 0, file.size)
            except FileNotFoundError:
                raise InputsError from None
            async for piece in pieces:
                digest.update(piece)
                yield piece
        if digest.hexdigest() != file.sha256:
            raise InputsError

    async def _write(self, work: Path, path: str, one: Content, found: dict[str, StoredFile]) -> None:
        *above, name = path.split("/")
        folder = _open_below(work, above)
        try:
            with suppress(FileNotFoundError):  # left by a try that failed
                os.unlink(name, dir_fd=folder)
            handle = os.open(name, _NEW_FILE, 0o644, dir_fd=folder)
        finally:
            os.close(folder)
        with os.fdopen(handle, "wb") as file:
            async for piece in self._pieces(one, found):
                await asyncio.to_thread(file.write, piece)

    async def _block(self, one: Content, found: dict[str, StoredFile]) -> dict[str, Any]:
        content = b"".join([piece async for piece in self._pieces(one, found)])
        kind = seen_in(content[:HEAD])
        if not kind or len(content) > MAX_ATTACHED:
            raise InputsError
        source = {"type": "base64", "media_type": kind, "data": base64.b64encode(content).decode()}
        return {"type": "document" if kind == "application/pdf" else "image", "source": source}


def _open_below(root: Path, names: list[str]) -> int:
    """Open a directory below another; make what is missing, and follow no link."""
    folder = os.open(root, _DIRECTORY)
    for name in names:
        try:
            with suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=folder)
            below = os.open(name, _DIRECTORY, dir_fd=folder)
        finally:
            os.close(folder)
        folder = below
    return folder


async def _patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Do something again while what it needs does not answer; raise InputsError after a minute."""
    end = asyncio.get_running_loop().time() + _WAIT
    while True:
        try:
            return await work()
        except (*StoreError, RedisError):
            if asyncio.get_running_loop().time() >= end:
                raise InputsError from None
        await asyncio.sleep(_PAUSE)
