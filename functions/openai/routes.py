"""The routes of OpenAI's Responses API."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from functions.openai import continuing, references, service, views
from functions.openai.calls import UNSUPPORTED
from functions.openai.live_stream import ResponseWriter
from functions.openai.requests import ResponseRequest, translate
from functions.openai.stream import deleted_response, stream
from shared.api.errors import InvalidRequest, RefusedParameter
from shared.configuration.settings import StatusSettings, SubmitSettings, load
from shared.http.answers import event_stream
from shared.http.body import read_json
from shared.http.callers import caller_of
from shared.http.describe import in_path, takes
from shared.http.direct import DirectRoute
from shared.http.idempotency import idempotency_key_in
from shared.http.live import streamed, whole
from shared.http.priority import PRIORITY, priority_in
from shared.services import live

router = APIRouter(tags=["OpenAI's responses"], route_class=DirectRoute)
_OBJECT = {"content": {"application/json": {"schema": {"type": "object"}}}}
_ERROR = {
    "description": "An error in the form of OpenAI's API.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/OpenAIError"}}},
}
_STREAMED = {"text/event-stream": {"schema": {"type": "string"}}}
_RESPONSE_ID = in_path("responseId", "The `id` of the response, `resp_…`.")


def _answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {**_OBJECT["content"], **_STREAMED}
    success = {"description": "The response, or its events if `stream` is true.", "content": content}
    return {200: success, **dict.fromkeys(statuses, _ERROR)}


@router.post(
    "/v1/responses",
    summary="Create a response",
    responses=_answers(400, 401, 403, 404, 413, 429, 502, 503, 504),
    openapi_extra={**takes(ResponseRequest), "parameters": [PRIORITY]},
)
async def create_response(request: Request) -> Response:
    """Answer a query, or accept it if `background` is true. Unsupported parameters are refused by name.

    A response that is not in background ends when its client leaves.
    """
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    body = await read_json(request, ResponseRequest, max_bytes=settings.max_body_bytes)
    items = await references.resolved(body.input, caller=caller, settings=settings)
    body, earlier = await continuing.with_earlier_items(
        body.model_copy(update={"input": items}), caller=caller, settings=settings
    )
    translated = translate(body, priority_in(request), earlier)
    is_live = translated.query.live
    if is_live and translated.stream and live.in_lambda():
        raise RefusedParameter("stream", live.NO_STREAM, "unsupported_value")
    idempotency_key = idempotency_key_in(request)
    found, headers = await service.submit(
        translated,
        request_id=request.state.request_id,
        caller=caller,
        idempotency_key=idempotency_key,
        settings=settings,
    )
    request.state.job_id = found.job.job_id
    if is_live:
        job = live.LiveJob(found.job.job_id, caller, headers, settings, keeps_running=idempotency_key is not None)
        if not translated.stream:
            return await _json(replace(found, job=await whole(request, job)), headers, caller)
        writer = ResponseWriter(found.job, found.request, settings.claude_model)
        streams_text = translated.query.output_schema is None
        return await streamed(request, job, writer, load(StatusSettings), streams_text=streams_text)
    if translated.stream:
        if "Idempotent-Replayed" in headers and not await service.exists(found, caller=caller, settings=settings):
            return event_stream(deleted_response(found.job, found.request, settings.claude_model), headers)
        return event_stream(_events(found, -1, caller), headers)
    return await _json(found, headers, caller)


@router.get(
    "/v1/responses/{responseId}",
    summary="Read a response",
    responses=_answers(400, 401, 404, 503),
    openapi_extra={
        "parameters": [
            _RESPONSE_ID,
            {"name": "stream", "in": "query", "schema": {"type": "boolean"}},
            {"name": "starting_after", "in": "query", "schema": {"type": "integer", "minimum": 0}},
        ]
    },
)
async def read_response(request: Request) -> Response:
    """Return a response, or stream its events after the event number `starting_after`."""
    settings = load(StatusSettings)
    caller = await caller_of(request, settings)
    query = request.query_params
    for name in query:
        if name not in {"stream", "starting_after"} and (name, query[name]) != ("include_obfuscation", "false"):
            raise RefusedParameter(name[:60], UNSUPPORTED)
    streamed, after = query.get("stream", "false"), query.get("starting_after")
    if streamed not in {"true", "false"}:
        raise RefusedParameter("stream", "should be true or false", "invalid_value")
    if after is not None and not (after.isascii() and after.isdecimal() and len(after) <= 9):
        raise RefusedParameter("starting_after", "should be the number of an event", "invalid_value")
    if after is not None and streamed == "false":
        raise RefusedParameter("starting_after", "should be used with stream=true", "invalid_value")
    found = await service.find(request.path_params["responseId"], caller=caller, settings=settings)
    if streamed == "false":
        return await _json(found, {}, caller)
    return event_stream(_events(found, -1 if after is None else int(after), caller))


@router.post(
    "/v1/responses/{responseId}/cancel",
    summary="Cancel a response",
    responses=_answers(401, 404, 503),
    openapi_extra={"parameters": [_RESPONSE_ID]},
)
async def cancel_response(request: Request) -> Response:
    """Cancel a response. A response that has ended is returned unchanged."""
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    found = await service.cancel(request.path_params["responseId"], caller=caller, settings=settings)
    return await _json(found, {}, caller)


@router.delete(
    "/v1/responses/{responseId}",
    summary="Refuse to delete a response",
    responses=dict.fromkeys((400, 401), _ERROR),
    openapi_extra={"parameters": [_RESPONSE_ID]},
)
async def delete_response(request: Request) -> Response:
    """Refuse: responses are deleted automatically."""
    await caller_of(request, load(StatusSettings))
    raise InvalidRequest("delete: not supported; a response is deleted automatically after RESULT_TTL")


async def _json(found: service.Found, headers: dict[str, str], caller: str) -> Response:
    settings = load(SubmitSettings)
    steps = await service.steps_of(found.job, caller=caller, settings=settings)
    body = views.response_of(found.job, found.request, model=settings.claude_model, steps=steps)
    return JSONResponse(body, headers=headers)


def _events(found: service.Found, after: int, caller: str) -> AsyncIterator[bytes]:
    model = load(SubmitSettings).claude_model
    return stream(found.job, found.request, after, caller=caller, model=model, settings=load(StatusSettings))
