"""Collect what a run leaves when it has ended: its artifacts, stored as pending files of the caller."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import redis.asyncio

from functions.worker.outputs import artifacts
from functions.worker.outputs.uploading import OmittedError, UnreadableError, Uploads, pieces_of
from shared.configuration.settings import WorkerSettings
from shared.store.jobs.outputs import OutputFile, Outputs, StoredArtifact

# Files that are stored at the same time.
_AT_ONCE = 4


class Collector:
    """Collects the outputs of one run. A collection that was cancelled goes on where it ended."""

    def __init__(self, client: redis.asyncio.Redis, caller: str, settings: WorkerSettings) -> None:
        self._settings = settings
        self._uploads = Uploads(client, caller, settings)
        self._stored: dict[str, OutputFile] = {}

    async def collect(self, work: Path) -> Outputs | None:
        """Store the artifacts of a run whose processes have ended; None when it has left nothing."""
        found = await asyncio.to_thread(
            artifacts.find,
            work,
            largest=self._settings.max_file_bytes,
            most_bytes=self._settings.max_workspace_bytes,
        )
        turns = asyncio.Semaphore(_AT_ONCE)

        async def store(path: str, size: int) -> str | None:
            async with turns:
                if path not in self._stored:
                    try:
                        self._stored[path] = await self._store(work, path, size)
                    except OmittedError as error:
                        return error.reason
            return None

        reasons = await asyncio.gather(*(store(path, size) for path, size in found.sizes.items()))
        omitted = found.omitted + Counter(reason for reason in reasons if reason is not None)
        kept = [path for path, reason in zip(found.sizes, reasons, strict=True) if reason is None]
        if not kept and not omitted:
            return None
        entries = [StoredArtifact(path=path, **self._stored[path].model_dump()) for path in kept]
        return Outputs(artifacts=entries, omitted=dict(sorted(omitted.items())))

    async def discard(self) -> None:
        """Remove what was stored: no job has it."""
        await self._uploads.discard([file.file_id for file in self._stored.values()])

    async def _store(self, work: Path, path: str, size: int) -> OutputFile:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                handle = artifacts.open_regular(work / artifacts.FOLDER, path)
            except OSError:
                raise UnreadableError from None
            async for piece in pieces_of(handle, size):
                yield piece

        # In a download the name becomes the name of a file.
        return await self._uploads.store(path.rpartition("/")[2].replace("\\", "_"), size, pieces)
