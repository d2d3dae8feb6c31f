"""The routes of the webhook function."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from functions.webhook import service
from shared.api.errors import NotFinished, NoWebhook
from shared.api.views import DELIVERY_CURSOR
from shared.api.webhook_models import Deliveries, Redelivery
from shared.configuration.settings import WebhookSettings, load
from shared.http.answers import as_json
from shared.http.callers import caller_of
from shared.http.describe import problems

router = APIRouter(tags=["webhooks"])
JobId = Annotated[str, Path(alias="jobId", description="The `jobId` of the submission.")]


@router.get(
    "/api/query/{jobId}/deliveries",
    summary="List the delivery attempts of a job's webhooks",
    response_model=Deliveries,
    responses={200: {"description": "A page of delivery attempts, oldest first."}, **problems(401, 404, 422, 503)},
)
async def list_deliveries(
    request: Request,
    job_id: JobId,
    cursor: Annotated[
        str | None, Query(pattern=DELIVERY_CURSOR, description="The `nextCursor` of the previous page.")
    ] = None,
) -> Response:
    """Return the time and outcome of each delivery attempt, and the time of the next."""
    settings = load(WebhookSettings)
    caller = await caller_of(request, settings)
    found = await service.deliveries(job_id, cursor, caller=caller, settings=settings)
    return as_json(found)


@router.post(
    "/api/query/{jobId}/redeliver",
    summary="Redeliver a job's webhooks",
    status_code=202,
    response_model=Redelivery,
    responses={
        202: {"description": "The webhooks are queued, with their original ids."},
        **problems(401, 404, NotFinished, 422, NoWebhook, 503),
    },
)
async def redeliver(
    request: Request,
    job_id: JobId,
    request_id: Annotated[
        str | None,
        Query(
            alias="requestId",
            max_length=100,
            description="Only the webhook of this submission; all webhooks of the job by default.",
        ),
    ] = None,
) -> Response:
    """Send the terminal event again with the same `webhook-id` and a new schedule of attempts."""
    settings = load(WebhookSettings)
    caller = await caller_of(request, settings)
    redelivery = await service.redeliver(job_id, request_id, caller=caller, settings=settings)
    return as_json(redelivery, 202)
