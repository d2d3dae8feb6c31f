"""Read one job, a caller's jobs, metrics and readiness."""

import asyncio
from typing import Literal

from pydantic import BaseModel, ConfigDict
from redis.exceptions import RedisError

from shared.api.errors import NotFound
from shared.api.ids import is_id
from shared.api.models import JobPage, Status
from shared.api.views import listed, page_of, status_of
from shared.api.vocabulary import State
from shared.configuration.settings import StatusSettings
from shared.store.fleet import counters, slots, workers
from shared.store.jobs import endings, events, records
from shared.store.redis import failures
from shared.store.redis.client import async_client

# Probes of readiness have short timeouts, so a store that takes longer counts as unavailable; s.
HEALTH_TIMEOUT = 1.2


class HealthReport(BaseModel):
    """Readiness and its parts; `cli` and `credentials` are the versions and kinds that the workers have.

    `relay` is false when a worker reaches Claude without the relay, so that no run on it may have a tool that runs
    commands; null without a worker.

    `sandbox` is `namespaces` if a live worker gives each run a sandbox of its own, `off` if tools run without one, and
    `unavailable` if jobs with tools are refused.

    The status is `ok`, `degraded` if queued jobs do not start, or `down` if Redis does not answer or refuses writes.

    Reasons for `degraded` are `no_worker`; `paused` by an operator; `authentication_failed` or `billing_error` if
    Claude refuses all jobs; `rate_limited` if it accepts none for some time. Reasons for `down` are `redis`, if it
    does not answer; `redis_read_only`, `redis_loading`, `redis_failover`, `redis_replicas`, `redis_busy`,
    `redis_clients`, `redis_out_of_memory`, `redis_disk`, `redis_permission`, `redis_login`, `redis_cluster`, and
    `redis_unsupported`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "status": "ok",
                    "reason": None,
                    "redis": "ok",
                    "workers": 1,
                    "slots": 5,
                    "cli": ["2.1.330"],
                    "credentials": ["api_key"],
                    "sandbox": "namespaces",
                    "relay": True,
                    "waiting": 0,
                    "active": 1,
                    "delayed": 0,
                }
            ]
        }
    )

    status: Literal["ok", "degraded", "down"]
    reason: str | None
    redis: Literal["ok", "down"]
    workers: int | None
    slots: int | None
    cli: list[str] | None
    credentials: list[str] | None
    sandbox: Literal["namespaces", "off", "unavailable"] | None
    relay: bool | None
    waiting: int | None
    active: int | None
    delayed: int | None


async def job_status(job_id: str, wait: float, *, caller: str, settings: StatusSettings) -> Status:
    """Return the status of one of the caller's jobs at its end or after `wait` s; raises NotFound for any other job."""
    job = None
    if is_id(job_id):
        job = await endings.read_at_end(async_client(settings.redis_address), job_id, caller, wait)
    if job is None:
        raise NotFound("Job not found")
    return status_of(job)


async def can_be_followed(job_id: str, after: str | None, *, caller: str, settings: StatusSettings) -> bool:
    """Return whether one of the caller's jobs has, or will have, events after an event; raises NotFound."""
    client = async_client(settings.redis_address)
    job = await records.read(client, job_id, caller) if is_id(job_id) else None
    if job is None:
        raise NotFound("Job not found")
    # `done` is always the last event.
    return after is None or not job.ended or bool(await events.since(client, job_id, after, 1))


async def job_page(
    state: State | None, schedule: str | None, limit: int, cursor: str | None, *, caller: str, settings: StatusSettings
) -> JobPage:
    """List the caller's jobs, newest first, from where the page with that cursor ended."""
    before = None if cursor is None else int(cursor)
    client = async_client(settings.redis_address)
    found, end = await records.page(client, caller, state=state, limit=limit, before=before, schedule=schedule or "")
    page, cursor = page_of(found, end)
    return JobPage(jobs=[listed(job) for job in page], next_cursor=cursor)


async def metrics(accept: str, settings: StatusSettings) -> tuple[bytes, str]:
    """Write all metrics, in one round trip; also return their content type."""
    # Imported here, because few requests need it and a cold start should not pay for it.
    from functions.status.metrics import exposition  # noqa: PLC0415

    return exposition(await counters.read(async_client(settings.redis_address)), accept)


async def health(settings: StatusSettings) -> HealthReport:
    """Return the live workers and whether the store accepts writes; never raises an error of the store."""
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT):
            seen = await slots.health(async_client(settings.redis_address))
    except (RedisError, OSError, TimeoutError) as error:
        failure = failures.report(settings.redis_address, error)
        unknown = dict.fromkeys(
            ("workers", "slots", "cli", "credentials", "sandbox", "relay", "waiting", "active", "delayed")
        )
        cause = failure.reason if failure else "redis"
        return HealthReport.model_validate({"status": "down", "reason": cause, "redis": "down", **unknown})
    reason = _reason(seen)
    return HealthReport(
        status="degraded" if reason else "ok",
        reason=reason,
        redis="ok",
        workers=len(seen.workers),
        slots=seen.slots,
        cli=sorted({one.cli for one in seen.workers if one.cli}),
        credentials=sorted({one.credentials for one in seen.workers}),
        sandbox=workers.best_sandbox(seen.workers),
        relay=all(one.has_relay for one in seen.workers) if seen.workers else None,
        waiting=seen.waiting,
        active=seen.active,
        delayed=seen.delayed,
    )


def _reason(seen: slots.Health) -> str | None:
    """Return why queued jobs do not start; None if they do.

    A slot lives only as long as its worker, so one without the other means that the worker partly lost the store.
    """
    return seen.hold if seen.slots and seen.workers else "no_worker"
