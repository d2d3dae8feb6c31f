"""What a job that has not ended may wait for: its place, its caller, its session, and what holds the queue."""

import json
from typing import Any

import redis.asyncio

from shared.store.redis import scripts


async def read(client: redis.asyncio.Redis, job_id: str) -> dict[str, Any]:
    """Return the state that decides when a job starts, in one round trip; waits.lua names the fields."""
    found: dict[str, Any] = json.loads(await scripts.run(client, "waits", job_id=job_id))
    return found
