"""The routes of our own batches."""

import json
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from functions.batches import service
from shared.http.answers import as_json
from shared.http.body import read_json
from shared.http.callers import caller_of
from shared.http.describe import in_path, problems, takes
from shared.http.direct import DirectRoute
from shared.http.idempotency import IDEMPOTENCY_KEY, idempotency_key_in
from shared.lines import as_one_line
from shared.models import BatchStatus
from shared.requests import BatchRequest
from shared.settings import StatusSettings, SubmitSettings, load
from shared.store.jobs import StoredJob
from shared.views import batch_status, listed

router = APIRouter(tags=["batches"], route_class=DirectRoute)
_BATCH_ID = {"parameters": [in_path("batchId", "As told when the batch was submitted.")]}
_LINES = {
    "description": "For each query, in order, a line of JSON: `index`, `customId`, and the job as its status has it.",
    "content": {"application/jsonl": {"schema": {"type": "string"}}},
}


@router.post(
    "/api/batches",
    summary="Submit a batch",
    status_code=202,
    response_model=BatchStatus,
    responses={202: {"description": "Accepted, all of it."}, **problems(400, 401, 403, 413, 415, 422, 429, 503)},
    openapi_extra={**takes(BatchRequest), "parameters": [IDEMPOTENCY_KEY]},
)
async def submit_batch(request: Request) -> Response:
    """Accept up to 1,000 queries together, all or none. Each is a job of its own, and runs."""
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    asked = await read_json(request, BatchRequest, max_bytes=settings.max_body_bytes)
    answer, headers = await service.create(
        asked.queries,
        request_id=request.state.request_id,
        caller=caller,
        idempotency_key=idempotency_key_in(request),
        settings=settings,
        place="queries.{}",
        webhook_url=asked.webhook_url or "",
        metadata=asked.metadata,
    )
    if answer.kind == "replayed":
        headers["Idempotent-Replayed"] = "true"
    headers["Location"] = f"/api/batches/{answer.batch_id}"
    found = await service.look(answer.batch_id, caller=caller, settings=settings)
    return as_json(batch_status(found), 202, headers)


@router.get(
    "/api/batches/{batchId}",
    summary="Read a batch",
    response_model=BatchStatus,
    responses={200: {"description": "The batch, counted at one moment."}, **problems(401, 404, 503)},
    openapi_extra=_BATCH_ID,
)
async def read_batch(request: Request) -> Response:
    """Tell how many of a batch's jobs wait, run and have ended."""
    settings = load(StatusSettings)
    caller = await caller_of(request, settings)
    found = await service.look(request.path_params["batchId"], caller=caller, settings=settings)
    return as_json(batch_status(found))


@router.get(
    "/api/batches/{batchId}/results",
    summary="Read a batch's results",
    response_class=StreamingResponse,
    responses={200: _LINES, **problems(401, 404, 409, 503)},
    openapi_extra=_BATCH_ID,
)
async def read_results(request: Request) -> Response:
    """Tell what came of each query as JSON Lines, in their order, when all have ended."""
    settings = load(StatusSettings)
    caller = await caller_of(request, settings)
    found = await service.results(request.path_params["batchId"], caller=caller, settings=settings)

    async def lines() -> AsyncIterator[str]:
        index = 0
        async for job_id, name, job in found:
            yield as_one_line(json.dumps(_line(index, job_id, name, job), ensure_ascii=False)) + "\n"
            index += 1

    return StreamingResponse(lines(), media_type="application/jsonl")


@router.delete(
    "/api/batches/{batchId}",
    summary="Cancel a batch",
    response_model=BatchStatus,
    responses={200: {"description": "The batch, as it has ended."}, **problems(401, 404, 503)},
    openapi_extra=_BATCH_ID,
)
async def cancel_batch(request: Request) -> Response:
    """Cancel all of its jobs that have not ended; those that have keep their results."""
    settings = load(SubmitSettings)
    caller = await caller_of(request, settings)
    found = await service.cancel(request.path_params["batchId"], caller=caller, settings=settings)
    return as_json(batch_status(found))


def _line(index: int, job_id: str, name: str, job: StoredJob | None) -> dict[str, object]:
    told = {"index": index, "customId": name or None, "jobId": job_id}
    if job is None:  # an operator has let it be forgotten
        return {**told, "state": None, "result": None, "error": None}
    return {**told, **listed(job).model_dump(mode="json", by_alias=True), "result": job.result}
