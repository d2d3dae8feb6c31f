"""The routes of Anthropic's Message Batches API."""

from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from functions.anthropic import service, views
from functions.anthropic.parameters import refused
from functions.anthropic.requests import MessageBatchRequest, as_parameter, queries_of
from shared.api.errors import InvalidRequest
from shared.api.ids import is_id
from shared.configuration.settings import StatusSettings, SubmitSettings, load
from shared.http.body import read_json
from shared.http.callers import caller_of
from shared.http.describe import in_path, takes
from shared.http.direct import DirectRoute
from shared.http.idempotency import idempotency_key_in
from shared.http.json_lines import LAMBDA_BYTES, as_lines
from shared.services import batches

router = APIRouter(tags=["Anthropic's batches"], route_class=DirectRoute)
_BATCH = {"content": {"application/json": {"schema": {"type": "object"}}}}
_ERROR = {
    "description": "An error in the form of Anthropic's API.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AnthropicError"}}},
}
_BATCH_ID = {"parameters": [in_path("batchId", "The `id` of the batch, `msgbatch_…`.")]}
_LONGEST_PAGE = 100


def _answers(*statuses: int, description: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": description, **_BATCH}, **dict.fromkeys(statuses, _ERROR)}


@router.post(
    "/v1/messages/batches",
    summary="Create a message batch",
    responses=_answers(400, 401, 403, 413, 429, 503, description="The batch."),
    openapi_extra=takes(MessageBatchRequest),
)
async def submit_message_batch(request: Request) -> Response:
    """Accept up to 1,000 requests of one message each. Unsupported parameters are refused by name."""
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    body = await read_json(request, MessageBatchRequest, max_bytes=settings.max_body_bytes)
    queries = queries_of(body.requests)
    try:
        batch, headers = await batches.create(
            queries,
            request_id=request.state.request_id,
            caller=caller,
            idempotency_key=idempotency_key_in(request),
            settings=settings,
            place="requests.{}.params",
        )
    except InvalidRequest as error:
        raise as_parameter(error, body.requests) from None
    return JSONResponse(views.batch_of(batch), headers=headers)


@router.get(
    "/v1/messages/batches",
    summary="List message batches",
    responses=_answers(400, 401, 503, description="A page, newest first."),
    openapi_extra={
        "parameters": [
            {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": _LONGEST_PAGE}},
            {"name": "before_id", "in": "query", "schema": {"type": "string"}},
            {"name": "after_id", "in": "query", "schema": {"type": "string"}},
        ]
    },
)
async def list_message_batches(request: Request) -> Response:
    """List the caller's batches of both APIs, newest first."""
    settings = load(StatusSettings)
    caller = await caller_of(request, settings)
    query = request.query_params
    for name in query:
        # The beta resources of Anthropic's packages send `beta=true` and expect the same answer.
        if name not in {"limit", "before_id", "after_id"} and (name, query[name]) != ("beta", "true"):
            raise refused(name[:60], "unknown parameter")
    limit = query.get("limit", "20")
    # `int` accepts digits of every script and any number of leading zeros.
    if not (limit.isascii() and limit.isdecimal() and len(limit) <= 3 and 1 <= int(limit) <= _LONGEST_PAGE):
        raise refused("limit", f"should be a whole number from 1 to {_LONGEST_PAGE}")
    edges = {name: query[name].removeprefix(views.PREFIX) for name in ("after_id", "before_id") if name in query}
    for name, edge in edges.items():
        if not is_id(edge):
            raise refused(name, "should be the id of a batch")
    if len(edges) > 1:
        raise refused("before_id", "should not be used with after_id")
    # As in Anthropic's API: pages go from the newest to the oldest, so `after_id` selects older batches.
    older, newer = edges.get("after_id"), edges.get("before_id")
    found, more = await service.page(int(limit), older_than=older, newer_than=newer, caller=caller, settings=settings)
    data = [views.batch_of(batch) for batch in found]
    first, last = (data[place]["id"] if data else None for place in (0, -1))
    return JSONResponse({"data": data, "has_more": more, "first_id": first, "last_id": last})


@router.get(
    "/v1/messages/batches/{batchId}",
    summary="Read a message batch",
    responses=_answers(401, 404, 503, description="The batch."),
    openapi_extra=_BATCH_ID,
)
async def read_message_batch(request: Request) -> Response:
    """Return a batch and its request counts."""
    settings = load(StatusSettings)
    caller = await caller_of(request, settings)
    return JSONResponse(views.batch_of(await batches.read(_id(request), caller=caller, settings=settings)))


@router.get(
    "/v1/messages/batches/{batchId}/results",
    summary="Read the results of a message batch",
    response_class=StreamingResponse,
    responses={
        200: {"description": "JSON Lines.", "content": {"application/x-jsonl": {"schema": {"type": "string"}}}},
        **dict.fromkeys((400, 401, 404, 503), _ERROR),
    },
    openapi_extra=_BATCH_ID,
)
async def read_message_results(request: Request) -> Response:
    """Return a line for each request, in the order of the requests."""
    settings = load(StatusSettings)
    caller = await caller_of(request, settings)
    found = await batches.results(_id(request), caller=caller, settings=settings)

    async def lines() -> AsyncIterator[str]:
        async for job_id, name, job in found:
            yield views.line_of(name or job_id, job)

    def too_large(_count: int) -> dict[str, str]:
        # Anthropic's API has no pages of results, and its client would take a page for the whole.
        place = f"/api/batches/{_id(request)}/results"
        raise InvalidRequest(
            f"results: exceed the {LAMBDA_BYTES} bytes of a response in Lambda; read {place}, in pages"
        )

    return await as_lines(lines(), "application/x-jsonl", too_large)


@router.post(
    "/v1/messages/batches/{batchId}/cancel",
    summary="Cancel a message batch",
    responses=_answers(401, 404, 503, description="The batch."),
    openapi_extra=_BATCH_ID,
)
async def cancel_message_batch(request: Request) -> Response:
    """Cancel all requests of a batch that have not ended."""
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    return JSONResponse(views.batch_of(await batches.cancel(_id(request), caller=caller, settings=settings)))


@router.delete(
    "/v1/messages/batches/{batchId}",
    summary="Refuse to delete a message batch",
    responses={**dict.fromkeys((400, 401), _ERROR)},
    openapi_extra=_BATCH_ID,
)
async def delete_message_batch(request: Request) -> Response:
    """Refuse: batches are deleted automatically."""
    await caller_of(request, load(StatusSettings))
    raise InvalidRequest("delete: not supported; a batch and its results are deleted automatically after RESULT_TTL")


def _id(request: Request) -> str:
    name: str = request.path_params["batchId"]
    return name.removeprefix(views.PREFIX)
