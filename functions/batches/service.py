"""List batches in pages of the gateway's own API."""

from shared.api.batch_models import BatchPage
from shared.api.pages import fitting, json_bytes
from shared.api.views import batch_status
from shared.configuration.settings import CommonSettings
from shared.store.jobs import batches
from shared.store.redis.client import async_client


async def page(limit: int, cursor: str | None, *, caller: str, settings: CommonSettings) -> BatchPage:
    """List the caller's batches, newest first, from where the page with that cursor ended."""
    before = None if cursor is None else int(cursor)
    found, end = await batches.listed(async_client(settings.redis_address), caller, limit=limit, before=before)
    listed = [(batch_status(batch), place) for batch, place in found]
    shown = fitting(listed, lambda one: json_bytes(one[0]))
    if len(shown) < len(listed):
        end = shown[-1][1]
    return BatchPage(batches=[batch for batch, _ in shown], next_cursor=None if end is None else str(end))
