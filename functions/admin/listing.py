"""Lists batches, schedules and kept sessions of all callers."""

import asyncio
from typing import Any

from shared.api.times import rfc3339, when
from shared.configuration.settings import AdminSettings
from shared.services import schedules
from shared.store.callers import callers
from shared.store.jobs import batches, sessions
from shared.store.jobs.batches import StoredBatch
from shared.store.redis.client import async_client


async def batch_page(limit: int, cursor: str | None, settings: AdminSettings) -> dict[str, Any]:
    """List batches, newest first."""
    client = async_client(settings.redis_address)
    before = None if cursor is None else int(cursor)
    (found, end), names = await asyncio.gather(batches.every(client, limit=limit, before=before), callers.names(client))
    return {"batches": [_batch(one, names) for one in found], "nextCursor": None if end is None else str(end)}


def _batch(one: StoredBatch, names: dict[str, str]) -> dict[str, Any]:
    record = one.record
    finished, expires = (int(record[name]) if name in record else None for name in ("finished", "expires"))
    return {
        "batchId": one.batch_id,
        "caller": record["caller"],
        "callerName": names.get(record["caller"], record["caller"]),
        "state": "ended" if one.ended else "cancelling" if "cancelling" in record else "running",
        "counts": one.counts,
        "createdAt": rfc3339(int(record["created"])),
        "finishedAt": when(finished),
        "expiresAt": when(expires),
    }


async def session_page(limit: int, cursor: str | None, settings: AdminSettings) -> dict[str, Any]:
    """List kept sessions, the last to expire first."""
    client = async_client(settings.redis_address)
    before = None if cursor is None else int(cursor)
    (found, end), names = await asyncio.gather(
        sessions.every(client, limit=limit, before=before), callers.names(client)
    )
    shown = [
        {
            "sessionId": one.session_id,
            "caller": one.caller,
            "callerName": names.get(one.caller, one.caller),
            "expiresAt": rfc3339(one.expires),
            "bytes": one.bytes,
            "unfinishedJobs": one.waiting,
        }
        for one in found
    ]
    return {"sessions": shown, "nextCursor": None if end is None else str(end)}


async def schedule_page(limit: int, cursor: str | None, settings: AdminSettings) -> dict[str, Any]:
    """List schedules, newest first."""
    (found, end), names = await asyncio.gather(
        schedules.page(limit, cursor, caller=None, settings=settings),
        callers.names(async_client(settings.redis_address)),
    )
    shown = [
        {**one.model_dump(by_alias=True), "caller": caller, "callerName": names.get(caller, caller)}
        for caller, one in found
    ]
    return {"schedules": shown, "nextCursor": end}
