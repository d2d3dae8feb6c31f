"""Deliveries of webhooks: their attempts, and redelivery."""

from shared.api.errors import NotFinished, NotFound, NoWebhook
from shared.api.ids import is_id
from shared.api.models import Deliveries, Redelivery
from shared.api.views import delivery_page
from shared.configuration.settings import WebhookSettings
from shared.store.redis.client import async_client
from shared.store.webhooks import history


async def deliveries(job_id: str, cursor: str | None, *, caller: str, settings: WebhookSettings) -> Deliveries:
    """List the delivery attempts of one of the caller's jobs, oldest first, after the page with that cursor.

    Raises NotFound for any other job.
    """
    attempts = await history.attempts(async_client(settings.redis_address), job_id, caller) if is_id(job_id) else None
    if attempts is None:
        raise NotFound("There is no such job")
    page, following = delivery_page(attempts, cursor)
    return Deliveries(deliveries=page, next_cursor=following)


async def redeliver(job_id: str, request_id: str | None, *, caller: str, settings: WebhookSettings) -> Redelivery:
    """Tell the end of one of the caller's jobs again, to one submission or to all that asked.

    Raises NotFound, NotFinished while there is nothing to tell, or NoWebhook when nobody asked.
    """
    answer, request_ids = "missing", list[str]()
    if is_id(job_id):
        answer, request_ids = await history.redeliver(async_client(settings.redis_address), job_id, caller, request_id)
    match answer:
        case "missing":
            raise NotFound("There is no such job, or no such submission of it")
        case "running":
            raise NotFinished("Its end is told when it comes")
        case "none":
            raise NoWebhook("No submission of it had a webhookUrl")
        case _:
            return Redelivery(job_id=job_id, request_ids=sorted(request_ids))
