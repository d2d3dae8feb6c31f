"""What a job's run has left, for operators."""

from typing import Any

from shared.api.errors import NotFound
from shared.api.ids import is_id
from shared.configuration.settings import AdminSettings
from shared.store.files import downloads
from shared.store.jobs import outputs
from shared.store.redis.client import async_client


async def outputs_of(job_id: str, settings: AdminSettings) -> dict[str, Any]:
    """Return the artifacts and the patch of a job of any caller, each with the id of its file; raises NotFound."""
    _, left = await _read(job_id, settings)
    found = outputs.described(left)
    patch = left.patch
    return {**found, "patch": None if patch is None else {**found["patch"], "fileId": patch.file_id}}


async def download(job_id: str, file_id: str, settings: AdminSettings) -> dict[str, Any]:
    """Return a path that reads one file of a job for some minutes; raises NotFound."""
    caller, left = await _read(job_id, settings)
    ids = {one.file_id for one in left.artifacts} | ({left.patch.file_id} if left.patch else set())
    if not file_id or file_id not in ids:
        raise NotFound("File not found")
    token = await downloads.create(async_client(settings.redis_address), caller, file_id)
    return {"path": f"/api/downloads/{token}", "expiresIn": downloads.SECONDS}


async def _read(job_id: str, settings: AdminSettings) -> tuple[str, outputs.Outputs]:
    found = await outputs.read(async_client(settings.redis_address), job_id, None) if is_id(job_id) else None
    if found is None:
        raise NotFound("Job not found")
    job, left = found
    return job.record["caller"], left or outputs.Outputs()
