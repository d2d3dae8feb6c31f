"""Commands on jobs: submit."""

import json

from shared.errors import FieldError, InvalidRequest, QueueFull
from shared.ids import new_id
from shared.models import PRIORITIES, Accepted, SubmitRequest
from shared.settings import SubmitSettings
from shared.store import jobs
from shared.store.client import async_client

# How the job is handled, not what is run: these stay in its record.
_NOT_FOR_THE_WORKER = {"priority", "metadata", "timeout_ms"}


async def submit(request: SubmitRequest, *, request_id: str, caller: str, settings: SubmitSettings) -> Accepted:
    """Accept a query as a job; raises InvalidRequest for what this deployment does not allow, or QueueFull."""
    _check(request, settings)
    job = jobs.NewJob(
        job_id=new_id(),
        request_id=request_id,
        caller=caller,
        priority=PRIORITIES.index(request.priority),
        timeout=request.timeout_ms or settings.claude_timeout,
        request=request.model_dump_json(by_alias=True, exclude_none=True, exclude=_NOT_FOR_THE_WORKER),
        metadata=json.dumps(request.metadata, ensure_ascii=False) if request.metadata else "",
    )
    client = async_client(settings.redis_address)
    if not await jobs.submit(client, job, max_waiting=settings.max_queue_depth):
        raise QueueFull(
            f"MAX_QUEUE_DEPTH = {settings.max_queue_depth} jobs are waiting; try again later",
            headers={"Retry-After": "5"},
        )
    return Accepted(request_id=request_id, status="queued", job_id=job.job_id)


def _check(request: SubmitRequest, settings: SubmitSettings) -> None:
    """Hold a well-formed request against what this deployment allows; name every field that is refused."""
    errors = []
    if len(request.query.encode()) > settings.max_query_bytes:
        errors.append(FieldError("/query", f"may have MAX_QUERY_BYTES = {settings.max_query_bytes} bytes of UTF-8"))
    if request.model and settings.claude_models and request.model not in settings.claude_models:
        errors.append(FieldError("/model", f"should be one of CLAUDE_MODELS: {', '.join(settings.claude_models)}"))
    if request.timeout_ms and request.timeout_ms > settings.claude_timeout:
        errors.append(FieldError("/timeoutMs", f"may be at most CLAUDE_TIMEOUT = {settings.claude_timeout}"))
    if errors:
        detail = "; ".join(f"{error.pointer.lstrip('/')}: {error.message}" for error in errors)
        raise InvalidRequest(detail, errors=tuple(errors))
