"""Operations of an administrator on the jobs of all callers, on the queue and on the cache."""

from typing import Literal, cast

import redis.asyncio

from shared.store import keys
from shared.store.redis import scripts
from shared.store.redis.pipelining import get

# Jobs that one script handles, so that it does not block Redis for long.
_BATCH = 200
_WAKE_ALL = 64


RetryAnswer = Literal["waiting", "missing", "running", "completed", "revoked"]


async def retry(client: redis.asyncio.Redis, job_id: str) -> RetryAnswer:
    """Retry a failed or cancelled job, with its whole clock and all its attempts."""
    answer: RetryAnswer = await scripts.run(client, "retry_ended", job_id=job_id)
    return answer


async def retry_failed(client: redis.asyncio.Redis) -> int:
    """Retry every failed job; return how many."""
    count = 0
    # A job that fails again while this runs is not retried twice.
    for job_id in cast("list[str]", await client.zrange(keys.every("failed"), 0, -1)):
        count += await retry(client, job_id) == "waiting"
    return count


async def forget(client: redis.asyncio.Redis, *job_ids: str) -> int:
    """Forget finished jobs, with the cache entries that they answer; return how many were forgotten."""
    count: int = await scripts.run(client, "forget", job_ids=job_ids)
    return count


async def forget_finished(client: redis.asyncio.Redis) -> int:
    """Forget every finished job; return how many."""
    count = 0
    for state in ("completed", "failed", "cancelled"):
        while job_ids := cast("list[str]", await client.zrange(keys.every(state), 0, _BATCH - 1)):
            forgotten = await forget(client, *job_ids)
            count += forgotten
            if not forgotten:
                break
    return count


async def reprioritize(
    client: redis.asyncio.Redis, job_id: str, priority: int
) -> Literal["done", "missing", "finished"]:
    """Change the priority of a job that has not ended; `priority` is its place in PRIORITIES."""
    answer: Literal["done", "missing", "finished"] = await scripts.run(
        client, "reprioritize", job_id=job_id, priority=priority
    )
    return answer


async def pause(client: redis.asyncio.Redis, by: str) -> None:
    """Pause the queue: no job starts; running jobs continue. `by` is who does it."""
    await scripts.run(client, "pause_queue", by=by)


async def resume(client: redis.asyncio.Redis) -> None:
    """Resume the queue after a pause, and also while Claude's refusals or its rate limit hold it."""
    async with client.pipeline(transaction=True) as pipe:
        pipe.delete(keys.PAUSED, keys.UPSTREAM, keys.NOT_BEFORE)
        pipe.lpush(keys.WAKE, *([1] * _WAKE_ALL))
        pipe.ltrim(keys.WAKE, 0, _WAKE_ALL - 1)
        await pipe.execute()


async def cached_answers(client: redis.asyncio.Redis) -> int:
    """Count the answers in the cache."""
    count: int = await scripts.run(client, "count_cached")
    return count


async def clear_cache(client: redis.asyncio.Redis, job_id: str | None = None) -> int:
    """Clear the cache entry of one job, or the whole cache; return how many entries."""
    if job_id is not None:
        return int(await scripts.run(client, "uncache", job_id=job_id, most=0))
    count = 0
    while cleared := await scripts.run(client, "uncache", job_id="", most=_BATCH):
        count += int(cleared)
    return count


async def is_cached(client: redis.asyncio.Redis, job_id: str, fingerprint: str | None) -> bool:
    """Return whether the cache answers with a job."""
    if fingerprint is None:
        return False
    [answer] = await get(client, ("HGET", keys.cache(fingerprint), "job"))
    return answer is not None and answer == job_id
