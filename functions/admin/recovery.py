"""Delivers webhooks again after their receiver was down."""

from datetime import datetime

from shared.configuration.settings import AdminSettings
from shared.store.redis.client import async_client
from shared.store.webhooks import history


async def recover(since: datetime, host: str | None, settings: AdminSettings) -> int:
    """Deliver again what no attempt has delivered since a time; return how many events."""
    moment = max(0, int(since.timestamp() * 1000))
    return await history.recover(async_client(settings.redis_address), moment, host or "")
