"""The files that a run leaves: its artifacts and its patch. They are files of the caller, and their list is the job's.

A file is pending while the run's claim holds, and becomes ready in the script that ends the job. So nobody sees the
files of a worker that is lost, and the reaper removes them.
"""

from typing import Annotated, Any

import redis.asyncio
from pydantic import BaseModel, ConfigDict, Field

from shared.store import keys
from shared.store.files import files
from shared.store.files.files import StoredFile
from shared.store.jobs import records
from shared.store.redis import clock
from shared.store.redis.pipelining import get

Count = Annotated[int, Field(ge=0)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class OutputFile(_Model):
    """A stored file of a run; `kind` is the attachable media type that its bytes have, or ""."""

    file_id: str
    size: Count
    sha256: str
    media_type: str
    kind: str


class StoredArtifact(OutputFile):
    """An artifact; `path` is relative to `outputs/`."""

    path: str


class StoredPatch(OutputFile):
    """The difference of the working directory: changed files, and added and removed lines.

    An empty one is stored nowhere, and has the id "".
    """

    files: Count
    insertions: Count
    deletions: Count


class Outputs(_Model):
    """Everything that a run has left; `omitted` counts the files that were not kept, by reason."""

    artifacts: list[StoredArtifact] = []
    patch: StoredPatch | None = None
    commit: str | None = None
    omitted: dict[str, Count] = {}
    # The archive of the working directory, which the session keeps.
    workspace: OutputFile | None = None


async def workspace_of(client: redis.asyncio.Redis, caller: str, session_id: str) -> StoredFile | None:
    """Return the archive of the working directory that a caller's session keeps; None when it keeps none."""
    [file_id] = await get(client, ("GET", keys.session_workspace(caller, session_id)))
    [file] = await files.of_job(client, caller, [file_id] if file_id else []) or [None]
    return file if file is not None and file.state == "kept" else None


def described(outputs: Outputs) -> dict[str, Any]:
    """Return the fields of a result that describe what the run has left."""
    patch = outputs.patch
    return {
        "artifacts": [
            {
                "path": one.path,
                "size": one.size,
                "sha256": one.sha256,
                "mediaType": one.media_type,
                "fileId": one.file_id,
            }
            for one in outputs.artifacts
        ],
        "patch": None
        if patch is None
        else {
            "files": patch.files,
            "insertions": patch.insertions,
            "deletions": patch.deletions,
            "bytes": patch.size,
        },
        "commit": outputs.commit,
        "omitted": outputs.omitted,
    }


async def read(
    client: redis.asyncio.Redis, job_id: str, caller: str | None
) -> tuple[records.StoredJob, Outputs | None] | None:
    """Read one of a caller's jobs, or any job when the caller is None, and what its run has left; see `records.read`.

    The result of the job is not read.
    """
    record, text, time = await get(client, ("HGETALL", keys.job(job_id)), ("GET", keys.job_outputs(job_id)), clock.TIME)
    job = records.StoredJob(job_id, record, None, None)
    if not job.is_of(caller, clock.milliseconds(time)):
        return None
    return job, None if text is None else Outputs.model_validate_json(text)
