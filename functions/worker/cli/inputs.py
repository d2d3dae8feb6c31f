"""The files and attachments of a run: placed in its working directory, and made into blocks that the model is shown."""

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import redis.asyncio
from redis.exceptions import RedisError

from functions.worker.cli.plan import Content, InputsPlan
from functions.worker.cli.turns import Block
from functions.worker.outputs import kept
from functions.worker.outputs.archive import ArchiveError
from shared.api.job_files import MAX_ATTACHED
from shared.api.vocabulary import ErrorCode
from shared.configuration.settings import WorkerSettings
from shared.files.media import HEAD, seen_in
from shared.files.objects import Objects, StoreError, objects
from shared.services.files import complete
from shared.store.files import files
from shared.store.files.files import StoredFile
from shared.store.jobs.outputs import workspace_of

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
        self.message = ""  # that of the code


class Inputs:
    """The files and attachments of one run."""

    def __init__(self, plan: InputsPlan, caller: str, client: redis.asyncio.Redis, settings: WorkerSettings) -> None:
        self._plan = plan
        self._caller = caller
        self._client = client
        self._settings = settings
        self._found: dict[str, StoredFile] | None = None

    async def blocks(self) -> list[Block]:
        """Return the attachments as content blocks; raises InputsError.

        Wait while the object store does not answer.
        """
        if not self._plan.attachments:
            return []
        found = await self._records()
        return [await _patiently(lambda one=one: self._block(one, found)) for one in self._plan.attachments]  # type: ignore[misc]

    async def place(self, work: Path) -> None:
        """Write the files below the working directory; raises InputsError, and waits like `blocks`."""
        plan = self._plan
        if not plan.files:
            return
        found = await self._records()
        sizes = [found[one.file_id].size if one.file_id else len(one.data) for _, one in plan.files]
        if sum(sizes) > self._settings.max_workspace_bytes:
            raise InputsError("workspace_too_large")
        for path, one in plan.files:
            await _patiently(lambda path=path, one=one: self._write(work, path, one, found))  # type: ignore[misc]

    async def _records(self) -> dict[str, StoredFile]:
        if self._found is None:
            self._found = await _patiently(self._find)
        return self._found

    async def restore(self, work: Path, session_id: str) -> bool:
        """Unpack the working directory that a session keeps; return whether it keeps one. Raises InputsError."""

        async def fetch() -> bool:
            file = await workspace_of(self._client, self._caller, session_id)
            return file is not None and await kept.restore(file, self._objects, work, self._settings)

        try:
            return await _patiently(fetch)
        except (FileNotFoundError, ArchiveError):
            raise InputsError from None

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
        try:
            handle = _create(work, path)
        except (FileExistsError, IsADirectoryError, NotADirectoryError):
            # A link, a file or a directory of the repository is in the way.
            raise InputsError from None
        with os.fdopen(handle, "wb") as file:
            async for piece in self._pieces(one, found):
                await asyncio.to_thread(file.write, piece)

    async def _block(self, one: Content, found: dict[str, StoredFile]) -> Block:
        content = b"".join([piece async for piece in self._pieces(one, found)])
        kind = seen_in(content[:HEAD])
        if not kind or len(content) > MAX_ATTACHED:
            raise InputsError
        source = {"type": "base64", "media_type": kind, "data": base64.b64encode(content).decode()}
        return {"type": "document" if kind == "application/pdf" else "image", "source": source}


def _create(root: Path, path: str) -> int:
    """Open a new file below a directory, in place of one that is there."""
    *above, name = path.split("/")
    folder = _open_below(root, above)
    try:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        return os.open(name, _NEW_FILE, 0o644, dir_fd=folder)
    finally:
        os.close(folder)


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
