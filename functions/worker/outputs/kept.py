"""The working directory that a session keeps between its turns, as a compressed archive in the object store."""

import asyncio
import hashlib
import os
from contextlib import suppress
from functools import partial
from pathlib import Path

from functions.worker.outputs.archive import ArchiveError, pack, unpack
from functions.worker.outputs.uploading import OmittedError, Uploads, pieces_below
from shared.configuration.settings import WorkerSettings
from shared.files.objects import Objects
from shared.store.files.files import StoredFile
from shared.store.jobs.outputs import OutputFile

# Beside the directories of the run, so that no process of a run has seen it.
_ARCHIVE = "kept.tar.gz"


def is_worth_keeping(work: Path) -> bool:
    """Return whether a working directory has anything in it."""
    with suppress(OSError), os.scandir(work) as entries:
        return next(entries, None) is not None
    return False


async def keep(work: Path, uploads: Uploads, settings: WorkerSettings) -> OutputFile:
    """Store the working directory of a run that has ended as a pending file; raise OmittedError."""
    archive = work.parent / _ARCHIVE
    archive.unlink(missing_ok=True)
    try:
        size = await asyncio.to_thread(pack, work, archive, settings.max_workspace_bytes)
        return await uploads.store("workspace.tar.gz", size, partial(pieces_below, work.parent, _ARCHIVE, size))
    except (ArchiveError, OmittedError):
        raise OmittedError("workspace_not_kept") from None


async def restore(file: StoredFile, objects: Objects, work: Path, settings: WorkerSettings) -> bool:
    """Unpack what `keep` stored into an empty working directory, and return True.

    Raises ArchiveError for another content, FileNotFoundError, and what the object store raises.
    """
    archive = work.parent / _ARCHIVE
    digest = hashlib.sha256()
    pieces = await objects.read(file.path, 0, file.size)
    with archive.open("wb") as target:
        async for piece in pieces:
            digest.update(piece)
            await asyncio.to_thread(target.write, piece)
    if digest.hexdigest() != file.sha256:
        raise ArchiveError("other bytes")
    await asyncio.to_thread(unpack, archive, work, settings.max_workspace_bytes)
    archive.unlink()
    return True
