"""List delivery attempts, and redeliver webhooks."""

from shared.api.errors import NotFinished, NotFound, NoWebhook
from shared.api.ids import is_id
from shared.api.views import delivery_page
from shared.api.webhook_models import Deliveries, Redelivery
from shared.configuration.settings import WebhookSettings
from shared.store.redis.client import async_client
from shared.store.webhooks import history


async def deliveries(job_id: str, cursor: str | None, *, caller: str, settings: WebhookSettings) -> Deliveries:
    """List the delivery attempts of one of the caller's jobs, oldest first, after the page with that cursor.

    Raises NotFound for any other job.
    """
    attempts = await history.attempts(async_client(settings.redis_address), job_id, caller) if is_id(job_id) else None
    if attempts is None:
        raise NotFound("Job not found")
    page, following = delivery_page(attempts, cursor)
    return Deliveries(deliveries=page, next_cursor=following)


async def redeliver(job_id: str, request_id: str | None, *, caller: str, settings: WebhookSettings) -> Redelivery:
    """Send the terminal event of one of the caller's jobs again, for one submission or for all with a webhook.

    Raises NotFound, NotFinished before the end of the job, or NoWebhook.
    """
    answer, request_ids = "missing", list[str]()
    if is_id(job_id):
        answer, request_ids = await history.redeliver(async_client(settings.redis_address), job_id, caller, request_id)
    match answer:
        case "missing":
            raise NotFound("Job not found, or it has no such submission")
        case "running":
            raise NotFinished("The job has not ended; its webhooks are sent at the end")
        case "none":
            raise NoWebhook("No submission of the job has a webhookUrl")
        case _:
            return Redelivery(job_id=job_id, request_ids=sorted(request_ids))
