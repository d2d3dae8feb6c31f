"""The routes of the gateway's own batches."""

import re
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from functions.batches import service
from functions.batches.views import result_line
from shared.api.batch_models import BatchPage, BatchStatus
from shared.api.batch_requests import BatchRequest
from shared.api.errors import FieldError, InvalidRequest, NotFinished
from shared.api.views import batch_status
from shared.configuration.settings import StatusSettings, SubmitSettings, load
from shared.http.answers import as_json
from shared.http.body import read_json
from shared.http.callers import caller_of
from shared.http.describe import SUBMISSION_ERRORS, in_path, problems, takes
from shared.http.direct import DirectRoute
from shared.http.forwarded import prefix_of
from shared.http.idempotency import IDEMPOTENCY_KEY, idempotency_key_in
from shared.http.json_lines import as_lines
from shared.services import batches

router = APIRouter(tags=["batches"], route_class=DirectRoute)
lists = APIRouter(tags=["batches"])
_BATCH_ID = {"parameters": [in_path("batchId", "The `batchId` of the batch.")]}
_CURSOR = {
    "name": "cursor",
    "in": "query",
    "description": "The `index` of the first line, 0 by default.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,9}$"},
}
_LINES = {
    "description": "A line of JSON for each query, in their order: `index`, `customId`, and the job as in its status.",
    "content": {"application/jsonl": {"schema": {"type": "string"}}},
}


@router.post(
    "/api/batches",
    summary="Submit a batch",
    status_code=202,
    response_model=BatchStatus,
    responses={
        202: {"description": "All queries are accepted."},
        **problems(400, 401, 403, 413, 415, 422, *SUBMISSION_ERRORS, 503),
    },
    openapi_extra={**takes(BatchRequest), "parameters": [IDEMPOTENCY_KEY]},
)
async def submit_batch(request: Request) -> Response:
    """Accept up to 1,000 queries, all or none. Each becomes a job that runs."""
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    body = await read_json(request, BatchRequest, max_bytes=settings.max_body_bytes)
    batch, headers = await batches.create(
        body.queries,
        request_id=request.state.request_id,
        caller=caller,
        idempotency_key=idempotency_key_in(request),
        settings=settings,
        place="queries.{}",
        webhook_url=body.webhook_url or "",
        metadata=body.metadata,
    )
    headers["Location"] = f"{prefix_of(request)}/api/batches/{batch.batch_id}"
    return as_json(batch_status(batch), 202, headers)


@lists.get(
    "/api/batches",
    summary="List your batches",
    response_model=BatchPage,
    responses={200: {"description": "A page, newest first."}, **problems(401, 422, 503)},
)
async def list_batches(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100, description="The number of batches at most.")] = 20,
    cursor: Annotated[
        str | None, Query(pattern="^[0-9]{1,15}$", description="The `nextCursor` of the previous page.")
    ] = None,
) -> Response:
    """List the caller's batches of all APIs, newest first."""
    settings = load(StatusSettings)
    caller = await caller_of(request, settings)
    return as_json(await service.page(limit, cursor, caller=caller, settings=settings))


@router.get(
    "/api/batches/{batchId}",
    summary="Read a batch",
    response_model=BatchStatus,
    responses={200: {"description": "The batch; its counts are of one moment."}, **problems(401, 404, 422, 503)},
    openapi_extra=_BATCH_ID,
)
async def read_batch(request: Request) -> Response:
    """Return how many jobs of a batch wait, run and have ended."""
    settings = load(StatusSettings)
    caller = await caller_of(request, settings)
    found = await batches.read(request.path_params["batchId"], caller=caller, settings=settings)
    return as_json(batch_status(found))


@router.get(
    "/api/batches/{batchId}/results",
    summary="Read a batch's results",
    response_class=StreamingResponse,
    responses={200: _LINES, **problems(401, 404, NotFinished, 422, 503)},
    openapi_extra={"parameters": [*_BATCH_ID["parameters"], _CURSOR]},
)
async def read_results(request: Request) -> Response:
    """Return the result of each query as JSON Lines, in their order, after all jobs have ended.

    In Lambda a response ends after 4 MiB, and `Link` has the next page.
    """
    settings = load(StatusSettings)
    caller = await caller_of(request, settings)
    batch_id, first = request.path_params["batchId"], _cursor_in(request)
    found = await batches.results(batch_id, caller=caller, settings=settings, first=first)

    async def lines() -> AsyncIterator[str]:
        index = first
        async for job_id, name, job in found:
            yield result_line(index, job_id, name, job)
            index += 1

    def next_page(count: int) -> dict[str, str]:
        return {"Link": f'</api/batches/{batch_id}/results?cursor={first + count}>; rel="next"'}

    return await as_lines(lines(), "application/jsonl", next_page)


@router.delete(
    "/api/batches/{batchId}",
    summary="Cancel a batch",
    response_model=BatchStatus,
    responses={200: {"description": "The cancelled batch."}, **problems(401, 404, 422, 503)},
    openapi_extra=_BATCH_ID,
)
async def cancel_batch(request: Request) -> Response:
    """Cancel all jobs of a batch that have not ended. Finished jobs keep their results."""
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    found = await batches.cancel(request.path_params["batchId"], caller=caller, settings=settings)
    return as_json(batch_status(found))


def _cursor_in(request: Request) -> int:
    cursor = request.query_params.get("cursor", "0")
    if re.fullmatch("[0-9]{1,9}", cursor) is None:
        message = "should be the index of a line, in 1 to 9 digits"
        raise InvalidRequest(f"cursor: {message}", errors=(FieldError("/cursor", message),))
    return int(cursor)
