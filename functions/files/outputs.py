"""What a job's run has left: its artifacts and its patch."""

from shared.api.errors import NotFinished, NotFound
from shared.api.ids import is_id
from shared.api.outputs import ArtifactList
from shared.configuration.settings import FilesSettings
from shared.store.files import downloads, files
from shared.store.files.files import StoredFile
from shared.store.jobs import outputs as stored
from shared.store.jobs.outputs import Outputs
from shared.store.redis.client import async_client


async def artifacts(job_id: str, *, caller: str, settings: FilesSettings) -> ArtifactList:
    """List the artifacts of one of the caller's jobs; raises NotFound or NotFinished."""
    found = stored.described(await _outputs_of(job_id, caller, settings))
    return ArtifactList.model_validate({name: found[name] for name in ("artifacts", "omitted")})


async def artifact(job_id: str, path: str, *, caller: str, settings: FilesSettings) -> StoredFile:
    """Return the file of an artifact; raises NotFound or NotFinished."""
    found = await _outputs_of(job_id, caller, settings)
    file_id = next((one.file_id for one in found.artifacts if one.path == path), None)
    return await _file(file_id, "Artifact not found", caller, settings)


async def patch(job_id: str, *, caller: str, settings: FilesSettings) -> StoredFile:
    """Return the file of a job's patch; raises NotFound or NotFinished."""
    found = (await _outputs_of(job_id, caller, settings)).patch
    if found is not None and found.size == 0:
        return StoredFile("", caller, "ready", "", found.media_type, 0, found.sha256, "", "", 0, 0)
    message = "The job has no patch: it has neither files nor a workspace, or no tools"
    return await _file(None if found is None else found.file_id, message, caller, settings)


async def of_token(token: str, settings: FilesSettings) -> StoredFile:
    """Return the file of a download; raises NotFound."""
    file = await downloads.find(async_client(settings.redis_address), token)
    if file is None:
        raise NotFound("The download does not exist, or no longer exists")
    return file


async def _outputs_of(job_id: str, caller: str, settings: FilesSettings) -> Outputs:
    client = async_client(settings.redis_address)
    found = await stored.read(client, job_id, caller) if is_id(job_id) else None
    if found is None:
        raise NotFound("Job not found")
    job, outputs = found
    if not job.ended:
        raise NotFinished("The job has not ended. Its artifacts and its patch are there when it has")
    return outputs or Outputs()


async def _file(file_id: str | None, message: str, caller: str, settings: FilesSettings) -> StoredFile:
    if file_id is None:
        raise NotFound(message)
    file = await files.find(async_client(settings.redis_address), caller, file_id)
    if file is None:
        raise NotFound("The file is deleted, or FILES_TTL is over")
    return file
