"""Submit, read and cancel responses of OpenAI's API."""

import json
from dataclasses import dataclass, replace
from typing import Any

from functions.openai import mcp_calls
from functions.openai.requests import PREFIX, Translated
from shared.api.errors import AlreadyFinished, InvalidRequest, NotFound, RefusedParameter
from shared.api.ids import is_id
from shared.api.requests import SubmitRequest
from shared.configuration.settings import CommonSettings, SubmitSettings
from shared.services import preparing, submitting
from shared.store.jobs import records, submissions
from shared.store.jobs import steps as stored_steps
from shared.store.redis.client import async_client


@dataclass(frozen=True, slots=True)
class Found:
    """A job and its request."""

    job: records.StoredJob
    request: dict[str, Any]


async def submit(
    request: Translated, *, request_id: str, caller: str, idempotency_key: str | None, settings: SubmitSettings
) -> tuple[Found, dict[str, str]]:
    """Accept a translated body as a job; return the accepted job and headers.

    A replay returns the same, even after the job or the previous response has been deleted.
    """
    query, session = request.query, None
    # The content that an Idempotency-Key stands for.
    content = [preparing.normalized(query), request.previous]
    if request.previous is not None:
        try:
            session = await _session(request.previous, caller, settings)
        except RefusedParameter:
            first = None
            if idempotency_key:
                first = await submitting.recall(
                    content, request_id=request_id, caller=caller, idempotency_key=idempotency_key, settings=settings
                )
            if first is None:
                raise
            # A session has the id of its first job.
            return _accepted(first, query, request.previous.removeprefix(PREFIX), caller), _headers(first)
        query = query.model_copy(update={"session_id": session, "fork": True})
    try:
        done = await submitting.submit(
            query,
            request_id=request_id,
            caller=caller,
            idempotency_key=idempotency_key,
            settings=settings,
            body=content,
        )
    except InvalidRequest as error:
        raise request.as_parameter(error) from None
    return _accepted(done.answer, query, session, caller), {**done.rate_headers, **_headers(done.answer)}


def _accepted(answer: submissions.Answer, query: SubmitRequest, resumed: str | None, caller: str) -> Found:
    """Return a response in the state in which it was accepted."""
    record = {"state": "waiting", "created": str(answer.at), "req": answer.request_id, "caller": caller}
    record["meta"] = json.dumps(query.metadata)
    request = query.model_dump(mode="json", by_alias=True, exclude_none=True)
    if query.session:
        request["conversation"] = {"id": answer.job_id, "from": resumed}
    return Found(records.StoredJob(answer.job_id, record, None, None), request)


def _headers(answer: submissions.Answer) -> dict[str, str]:
    return {"Idempotent-Replayed": "true"} if answer.replayed else {}


async def exists(found: Found, *, caller: str, settings: CommonSettings) -> bool:
    """Return whether a response has not been deleted."""
    return await records.read(async_client(settings.redis_address), found.job.job_id, caller) is not None


async def find(response_id: str, *, caller: str, settings: CommonSettings) -> Found:
    """Return one of the caller's responses; raises NotFound for any other."""
    client, job_id = async_client(settings.redis_address), response_id.removeprefix(PREFIX)
    found = await records.read_with_request(client, job_id, caller) if is_id(job_id) else None
    if found is None:
        raise NotFound(f"Response {response_id[:60]!r} not found")
    return Found(*found)


async def steps_of(job: records.StoredJob, *, caller: str, settings: CommonSettings) -> list[dict[str, Any]]:
    """Return the first steps of a response; a response without any costs no round trip."""
    if not int(job.record.get("steps", 0)):
        return []
    client = async_client(settings.redis_address)
    page = await stored_steps.page(client, job.job_id, caller, after=0, limit=mcp_calls.MOST_STEPS)
    return [] if page is None else page.steps


async def cancel(response_id: str, *, caller: str, settings: SubmitSettings) -> Found:
    """Cancel one of the caller's responses; a response that has ended is unchanged. Raises NotFound."""
    found = await find(response_id, caller=caller, settings=settings)
    try:
        job = await submitting.cancel(found.job.job_id, caller=caller, settings=settings)
    except AlreadyFinished:
        return await find(response_id, caller=caller, settings=settings)
    return replace(found, job=job)


async def _session(response_id: str, caller: str, settings: SubmitSettings) -> str:
    """Return the session of a response that another response continues; raises RefusedParameter."""
    try:
        found = await find(response_id, caller=caller, settings=settings)
    except NotFound as error:
        raise RefusedParameter("previous_response_id", error.detail, "previous_response_not_found") from None
    session: str | None = found.request.get("conversation", {}).get("id")
    is_kept = found.job.result is not None and found.job.result.get("sessionId") is not None
    if session is None or not is_kept:
        why = "was not stored" if session is None else "is incomplete" if found.job.result else "has not completed"
        raise RefusedParameter("previous_response_id", f"this response {why}", "previous_response_not_found")
    return session
