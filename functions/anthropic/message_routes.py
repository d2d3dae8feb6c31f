"""The routes of Anthropic's Messages API."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from functions.anthropic import counting, views
from functions.anthropic.counting import CountRequest
from functions.anthropic.parameters import refused
from functions.anthropic.requests import MessageRequest, as_parameter, query_of
from functions.anthropic.stream import MessageWriter
from shared.api.errors import InvalidRequest
from shared.configuration.settings import StatusSettings, SubmitSettings, load
from shared.http.body import read_json
from shared.http.callers import caller_of
from shared.http.describe import takes
from shared.http.direct import DirectRoute
from shared.http.idempotency import idempotency_key_in
from shared.http.live import streamed, whole
from shared.http.priority import PRIORITY, priority_in
from shared.services import live

router = APIRouter(tags=["Anthropic's messages"], route_class=DirectRoute)
_ERROR = {
    "description": "An error in the form of Anthropic's API.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AnthropicError"}}},
}
_OBJECT: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}
_MESSAGE: dict[str, Any] = {
    "description": "The message, or its events if `stream` is true.",
    "content": {**_OBJECT, "text/event-stream": {"schema": {"type": "string"}}},
}


@router.post(
    "/v1/messages",
    summary="Create a message",
    responses={200: _MESSAGE, **dict.fromkeys((400, 401, 403, 404, 413, 429, 502, 503, 504, 529), _ERROR)},
    openapi_extra={**takes(MessageRequest), "parameters": [PRIORITY]},
)
async def create_message(request: Request) -> Response:
    """Answer a conversation. Unsupported parameters are refused by name; the job ends when its client leaves."""
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    body = await read_json(request, MessageRequest, max_bytes=settings.max_body_bytes)
    query, stream = query_of(body, priority_in(request))
    if stream and live.in_lambda():
        raise refused("stream", live.NO_STREAM)
    try:
        job = await live.submit(
            query,
            request_id=request.state.request_id,
            caller=caller,
            idempotency_key=idempotency_key_in(request),
            settings=settings,
        )
    except InvalidRequest as error:
        raise as_parameter(error, body.model_dump()) from None
    request.state.job_id = job.job_id
    if stream:
        writer = MessageWriter(job.job_id, query.model or "", request.state.request_id, query.answer_tool)
        streams_text = query.output_schema is None
        return await streamed(request, job, writer, load(StatusSettings), streams_text=streams_text)
    ended = await whole(request, job)
    message = views.message_of(job.job_id, ended.result or {}, query.answer_tool)
    return JSONResponse(message, headers=job.headers)


@router.post(
    "/v1/messages/count_tokens",
    summary="Count tokens",
    responses={
        200: {"description": "The number of input tokens.", "content": _OBJECT},
        **dict.fromkeys((400, 401, 404, 413, 429, 502, 503, 504), _ERROR),
    },
    openapi_extra=takes(CountRequest),
)
async def count_tokens(request: Request) -> Response:
    """Count the tokens of a conversation, without a job; a worker answers within 10 s."""
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    body = await read_json(request, CountRequest, max_bytes=settings.max_body_bytes)
    policy = await counting.policy_of(caller, settings)
    found = await counting.count(counting.checked(body, settings, policy), request.state.request_id, settings)
    return JSONResponse({"input_tokens": found})
