"""Collect what a run leaves when it has ended: its artifacts, stored as pending files of the caller."""

import asyncio
from collections import Counter
from functools import partial
from hashlib import sha256
from pathlib import Path

import redis.asyncio

from functions.worker.git.difference import difference
from functions.worker.git.shell import Shell
from functions.worker.outputs import artifacts, kept
from functions.worker.outputs.uploading import OmittedError, Uploads, pieces_below
from shared.configuration.settings import WorkerSettings
from shared.store.jobs.claims import ClaimedJob
from shared.store.jobs.outputs import OutputFile, Outputs, StoredArtifact, StoredPatch

# Files that are stored at the same time.
_AT_ONCE = 4
# Seconds in which git compares the working directory.
_COMPARE_WITHIN = 60.0
PATCH = "text/x-diff"
_NOTHING = sha256(b"").hexdigest()


class Collector:
    """Collects the outputs of one run. A collection that was cancelled goes on where it ended."""

    def __init__(self, client: redis.asyncio.Redis, job: ClaimedJob, settings: WorkerSettings) -> None:
        self._settings = settings
        self._uploads = Uploads(client, job.caller, settings, job.claim.job_id)
        self._stored: dict[str, OutputFile] = {}
        self._patch: StoredPatch | None = None
        self._workspace: OutputFile | None = None

    async def collect(self, work: Path, patch_from: Shell | None = None, *, keeps: bool = False) -> Outputs | None:
        """Store the artifacts of a run whose processes have ended, and its patch; None when it has left nothing.

        With `keeps` also store its working directory, for the next turn of its session.
        """
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
        paths = [path for path, reason in zip(found.sizes, reasons, strict=True) if reason is None]
        patch = None
        if patch_from is not None:
            try:
                patch = self._patch = self._patch or await self._store_patch(patch_from)
            except OmittedError as error:
                omitted[error.reason] += 1
        if keeps and kept.is_worth_keeping(work):
            try:
                self._workspace = self._workspace or await kept.keep(work, self._uploads, self._settings)
            except OmittedError as error:
                omitted[error.reason] += 1
        if not (paths or omitted or patch or self._workspace):
            return None
        entries = [StoredArtifact(path=path, **self._stored[path].model_dump()) for path in paths]
        return Outputs(artifacts=entries, patch=patch, workspace=self._workspace, omitted=dict(sorted(omitted.items())))

    async def discard(self) -> None:
        """Remove what was stored: no job has it."""
        stored = (*self._stored.values(), self._patch, self._workspace)
        await self._uploads.discard([file.file_id for file in stored if file is not None])

    async def _store_patch(self, shell: Shell) -> StoredPatch:
        found = await difference(shell, _COMPARE_WITHIN)
        if found is None:
            raise OmittedError("patch_failed")
        if found.bytes > self._settings.max_file_bytes:
            raise OmittedError("patch_too_large")
        if found.bytes == 0:
            return StoredPatch(
                file_id="", size=0, sha256=_NOTHING, media_type=PATCH, kind="", files=0, insertions=0, deletions=0
            )
        stored = await self._uploads.store(
            "changes.patch", found.bytes, partial(pieces_below, found.path.parent, found.path.name, found.bytes), PATCH
        )
        return StoredPatch(
            **stored.model_dump(), files=found.files, insertions=found.insertions, deletions=found.deletions
        )

    async def _store(self, work: Path, path: str, size: int) -> OutputFile:
        # In a download the name becomes the name of a file.
        name = path.rpartition("/")[2].replace("\\", "_")
        return await self._uploads.store(name, size, partial(pieces_below, work / artifacts.FOLDER, path, size))
