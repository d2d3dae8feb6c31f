"""Responses: submit, read, cancel."""

import json
from dataclasses import dataclass, replace
from typing import Any

from functions.openai.requests import PREFIX, Asked, ResponseRequest, asked_by, renamed
from shared.api.errors import AlreadyFinished, InvalidRequest, NotFound, RefusedParameter
from shared.api.ids import is_id
from shared.api.requests import SubmitRequest
from shared.configuration.settings import CommonSettings, SubmitSettings
from shared.services import submitting
from shared.store.jobs import records, submissions
from shared.store.redis.client import async_client


@dataclass(frozen=True, slots=True)
class Found:
    """A job, and what was asked."""

    job: records.StoredJob
    request: dict[str, Any]


async def submit(
    body: ResponseRequest, *, request_id: str, caller: str, idempotency_key: str | None, settings: SubmitSettings
) -> tuple[Found, Asked, dict[str, str]]:
    """Accept a body as a job; return it as it was accepted, what it asked, and headers.

    A replay returns the same, whatever has become of the job, and of the response that it goes on from.
    """
    asked = asked_by(body)
    query, meant, kept = asked.query, [submitting.normalized(asked.query), asked.previous], None
    if asked.previous is not None:
        try:
            kept = await _conversation(asked.previous, caller, settings)
        except RefusedParameter:
            first = None
            if idempotency_key:
                first = await submitting.recall(
                    meant, request_id=request_id, caller=caller, idempotency_key=idempotency_key, settings=settings
                )
            if first is None:
                raise
            # A conversation has the id of the job that it begins with.
            return _accepted(first, query, asked.previous.removeprefix(PREFIX), caller), asked, _headers(first)
        query = query.model_copy(update={"session_id": kept, "fork": True})
    try:
        done = await submitting.submit(
            query, request_id=request_id, caller=caller, idempotency_key=idempotency_key, settings=settings, body=meant
        )
    except InvalidRequest as error:
        raise renamed(error, body.input) from None
    return _accepted(done.answer, query, kept, caller), asked, {**done.rate_headers, **_headers(done.answer)}


def _accepted(answer: submissions.Answer, query: SubmitRequest, resumed: str | None, caller: str) -> Found:
    """Return a response as it was accepted."""
    record = {"state": "waiting", "created": str(answer.at), "req": answer.request_id, "caller": caller}
    record["meta"] = json.dumps(query.metadata)
    request = query.model_dump(mode="json", by_alias=True, exclude_none=True)
    if query.session:
        request["conversation"] = {"id": answer.job_id, "from": resumed}
    return Found(records.StoredJob(answer.job_id, record, None, None), request)


def _headers(answer: submissions.Answer) -> dict[str, str]:
    return {"Idempotent-Replayed": "true"} if answer.replayed else {}


async def is_there(found: Found, *, caller: str, settings: CommonSettings) -> bool:
    """Say whether a response has not been forgotten."""
    return await records.read(async_client(settings.redis_address), found.job.job_id, caller) is not None


async def find(response_id: str, *, caller: str, settings: CommonSettings) -> Found:
    """Return one of the caller's responses; raises NotFound for any other."""
    client, job_id = async_client(settings.redis_address), response_id.removeprefix(PREFIX)
    found = await records.read_with_request(client, job_id, caller) if is_id(job_id) else None
    if found is None:
        raise NotFound(f"There is no response {response_id[:60]!r}")
    return Found(*found)


async def cancel(response_id: str, *, caller: str, settings: SubmitSettings) -> Found:
    """Cancel one of the caller's responses; one that has ended stays as it is. Raises NotFound."""
    found = await find(response_id, caller=caller, settings=settings)
    try:
        job = await submitting.cancel(found.job.job_id, caller=caller, settings=settings)
    except AlreadyFinished:
        return await find(response_id, caller=caller, settings=settings)
    return replace(found, job=job)


async def _conversation(response_id: str, caller: str, settings: SubmitSettings) -> str:
    """Return the conversation of a response that another goes on from."""
    try:
        found = await find(response_id, caller=caller, settings=settings)
    except NotFound as error:
        raise RefusedParameter("previous_response_id", error.detail, "previous_response_not_found") from None
    kept: str | None = found.request.get("conversation", {}).get("id")
    if kept is None or found.job.record["state"] != "completed":
        why = "has not completed" if kept else "was not stored"
        raise RefusedParameter("previous_response_id", f"it {why}", "previous_response_not_found")
    return kept
