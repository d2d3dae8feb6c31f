"""The routes of OpenAI's Chat Completions API and of the list of models."""

import time
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from functions.openai import models
from functions.openai.chat import ChatRequest, translate
from functions.openai.chat_views import ChatWriter, completion_of
from shared.api.errors import InvalidRequest, RefusedParameter
from shared.configuration.settings import StatusSettings, SubmitSettings, load
from shared.http.body import read_json
from shared.http.callers import caller_of
from shared.http.describe import in_path, takes
from shared.http.direct import DirectRoute
from shared.http.idempotency import idempotency_key_in
from shared.http.live import streamed, whole
from shared.http.priority import PRIORITY, priority_in
from shared.services import live

router = APIRouter(tags=["OpenAI's chat completions"], route_class=DirectRoute)
_ERROR = {
    "description": "An error in the form of OpenAI's API.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/OpenAIError"}}},
}
_OBJECT: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}
_COMPLETION = {
    "description": "The completion, or its chunks if `stream` is true.",
    "content": {**_OBJECT, "text/event-stream": {"schema": {"type": "string"}}},
}


@router.post(
    "/v1/chat/completions",
    summary="Create a chat completion",
    responses={200: _COMPLETION, **dict.fromkeys((400, 401, 403, 404, 413, 429, 502, 503, 504), _ERROR)},
    openapi_extra={**takes(ChatRequest), "parameters": [PRIORITY]},
)
async def create_chat_completion(request: Request) -> Response:
    """Answer a conversation. Unsupported parameters are refused by name; the job ends when its client leaves."""
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    body = await read_json(request, ChatRequest, max_bytes=settings.max_body_bytes)
    chat = translate(body, priority_in(request))
    if chat.stream and live.in_lambda():
        raise RefusedParameter("stream", live.NO_STREAM, "unsupported_value")
    try:
        job = await live.submit(
            chat.query,
            request_id=request.state.request_id,
            caller=caller,
            idempotency_key=idempotency_key_in(request),
            settings=settings,
        )
    except InvalidRequest as error:
        raise chat.as_parameter(error) from None
    request.state.job_id = job.job_id
    if chat.stream:
        model = chat.query.model or settings.claude_model or "default"
        writer = ChatWriter(
            job.job_id, model, int(time.time()), include_usage=chat.include_usage, function=chat.query.answer_tool
        )
        streams_text = chat.query.output_schema is None
        return await streamed(request, job, writer, load(StatusSettings), streams_text=streams_text)
    completion = completion_of(await whole(request, job), chat.query.answer_tool)
    return JSONResponse(completion, headers=job.headers)


@router.get(
    "/v1/models",
    summary="List models",
    responses={200: {"description": "The models, in one page.", "content": _OBJECT}, 401: _ERROR},
)
async def list_models(request: Request) -> Response:
    """List the models: in the form of Anthropic's API if `anthropic-version` is sent, otherwise of OpenAI's."""
    settings = load(SubmitSettings)
    names = await models.names(await caller_of(request, settings), settings)
    return JSONResponse(models.listed(names, anthropic="anthropic-version" in request.headers))


@router.get(
    "/v1/models/{modelId}",
    summary="Read a model",
    responses={200: {"description": "The model.", "content": _OBJECT}, **dict.fromkeys((401, 404), _ERROR)},
    openapi_extra={"parameters": [in_path("modelId", "The `id` of the model.")]},
)
async def read_model(request: Request) -> Response:
    """Return a model of the list."""
    settings = load(SubmitSettings)
    names = await models.names(await caller_of(request, settings), settings)
    anthropic = "anthropic-version" in request.headers
    return JSONResponse(models.found(request.path_params["modelId"], names, anthropic=anthropic))
