"""Questions: one job, and whether the gateway is well."""

import asyncio
from typing import Literal

from pydantic import BaseModel, ConfigDict
from redis.exceptions import RedisError

from shared.errors import NotFound
from shared.ids import is_id
from shared.models import PRIORITIES, Status
from shared.settings import StatusSettings
from shared.store import jobs, slots
from shared.store.client import async_client
from shared.times import rfc3339

# Readiness is asked for by machines that give up soon; a store that takes longer is as good as away.
HEALTH_TIMEOUT = 1.5


class HealthReport(BaseModel):
    """Readiness: `ok`; `degraded` when no worker is alive to run what is queued; `down` without Redis."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"status": "ok", "redis": "ok", "slots": 5, "waiting": 0, "active": 1}]}
    )

    status: Literal["ok", "degraded", "down"]
    redis: Literal["ok", "down"]
    slots: int | None
    waiting: int | None
    active: int | None


async def job_status(job_id: str, *, caller: str, settings: StatusSettings) -> Status:
    """Tell where one of the caller's jobs is; raises NotFound for any other."""
    missing = NotFound("There is no such job")
    if not is_id(job_id):
        raise missing
    job = await jobs.read(async_client(settings.redis_address), job_id, caller)
    if job is None:
        raise missing
    return _status(job)


def _status(job: jobs.StoredJob) -> Status:
    def when(field: str) -> str | None:
        moment = job.moment(field)
        return None if moment is None else rfc3339(moment)

    return Status.model_validate(
        {
            "jobId": job.job_id,
            "requestId": job.record["req"],
            "state": job.record["state"],
            "progress": int(job.record["progress"]),
            "result": job.outcome.get("result"),
            "error": job.outcome.get("error"),
            "priority": PRIORITIES[int(job.record["prio"])],
            "attempts": int(job.record["attempts"]),
            "mcpServers": [],
            "metadata": job.metadata,
            "createdAt": when("created"),
            "startedAt": when("started"),
            "finishedAt": when("finished"),
            "queuePosition": job.position,
        }
    )


async def health(settings: StatusSettings) -> HealthReport:
    """Ask the store who is alive; never raises."""
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT):
            seen = await slots.health(async_client(settings.redis_address))
    except (RedisError, OSError, TimeoutError):
        return HealthReport(status="down", redis="down", slots=None, waiting=None, active=None)
    status: Literal["ok", "degraded"] = "ok" if seen.slots else "degraded"
    return HealthReport(status=status, redis="ok", slots=seen.slots, waiting=seen.waiting, active=seen.active)
