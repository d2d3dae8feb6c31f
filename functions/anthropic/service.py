"""Message batches: what differs from batches of our own API."""

from shared.configuration.settings import CommonSettings
from shared.store.jobs import batches
from shared.store.redis.client import async_client


async def page(
    limit: int, *, older_than: str | None, newer_than: str | None, caller: str, settings: CommonSettings
) -> tuple[list[batches.StoredBatch], bool]:
    """List the caller's batches, newest first, on one side of a batch; also return whether more follow."""
    client = async_client(settings.redis_address)
    return await batches.page(client, caller, limit=limit, before=older_than, after=newer_than)
