"""Jobs, batches and webhooks in the form of the API."""

from collections.abc import Sequence
from typing import Any

from shared.api.batch_models import BatchEvent, BatchStatus
from shared.api.models import Listed, Status
from shared.api.pages import PAGE_BYTES, fitting, json_bytes
from shared.api.times import rfc3339, when
from shared.api.vocabulary import PRIORITIES
from shared.api.webhook_models import (
    ACTION_REQUIRED,
    BudgetEvent,
    BudgetState,
    Delivery,
    PausedSchedule,
    ScheduleEvent,
    WebhookEvent,
)
from shared.store.jobs.batches import StoredBatch
from shared.store.jobs.records import Attempt, StoredJob
from shared.store.webhooks.history import DeliveryAttempt, FailingHost
from shared.store.webhooks.outbox import NearlySpent, Paused


def status_of(job: StoredJob) -> Status:
    """Return a job's status body."""
    common = _common(job)
    mcp = None
    if common["mcpServers"]:
        attempts = job.attempts
        truncated = attempts[-1].seen.get("truncated", []) if attempts else []
        mcp = {"scores": job.mcp["scores"], "unavailable": job.unavailable, "truncated": truncated}
    return Status.model_validate({**common, "result": job.result, "mcp": mcp})


def page_of(found: Sequence[StoredJob], end: int | None) -> tuple[list[StoredJob], str | None]:
    """Return the jobs that fit on a page, and the cursor of the next page; `end` is where the list ended."""
    page = fitting(found, lambda job: json_bytes(listed(job)))
    if len(page) < len(found):
        end = int(page[-1].record["seq"])
    return page, None if end is None else str(end)


def listed(job: StoredJob) -> Listed:
    """Return a job for a list: without its result."""
    return Listed.model_validate(_common(job))


def webhook_id(name: str) -> str:
    """Return the id of a webhook's event, which is the same for every attempt and redelivery."""
    return f"msg_{name}"


def delivery_of(one: DeliveryAttempt) -> Delivery:
    """Return one delivery attempt."""
    return Delivery(
        id=webhook_id(one.name),
        request_id=one.request_id,
        event=one.event,
        url=one.url,
        attempt=one.number,
        status_code=one.status,
        error=one.error,
        duration_ms=one.duration,
        at=rfc3339(one.at),
        next_attempt_at=when(one.next_at),
    )


DELIVERY_CURSOR = "^[0-9]{1,15}_[0-9]{1,9}_[0-9a-f.-]{1,60}$"


def delivery_page(attempts: Sequence[DeliveryAttempt], cursor: str | None) -> tuple[list[Delivery], str | None]:
    """Return a page of delivery attempts, which are in the order of their times, and the cursor of the next page."""
    if cursor is not None:
        at, number, name = cursor.split("_")
        after = (int(at), name, int(number))
        attempts = [one for one in attempts if (one.at, one.name, one.number) > after]
    found = [delivery_of(one) for one in attempts]
    page = fitting(found, json_bytes)
    if len(page) == len(found):
        return page, None
    last = attempts[len(page) - 1]
    return page, f"{last.at}_{last.number}_{last.name}"


def failing_host(host: FailingHost) -> dict[str, Any]:
    """Return a failing webhook host as the dashboard and the command line show it."""
    return {
        "host": host.host,
        "failures": host.failures,
        "failingSince": rfc3339(host.failing),
        "pausedSince": when(host.paused),
    }


def latest_deliveries(attempts: Sequence[DeliveryAttempt]) -> list[Delivery]:
    """Return the latest delivery attempts that fit on a quarter of a page, oldest first."""
    newest = (delivery_of(one) for one in reversed(attempts))
    found = fitting(newest, json_bytes, PAGE_BYTES // 4)
    return found[::-1]


def webhook_event(
    job: StoredJob, event: str, at: int, request_id: str, metadata: dict[str, str], public_url: str | None = None
) -> WebhookEvent:
    """Return the body of a submission's webhook; `at` in ms. With a URL of the gateway, a call has one to decide at."""
    data = status_of(job).model_copy(update={"request_id": request_id, "metadata": metadata})
    where, token = None, job.record.get("token")
    if event == ACTION_REQUIRED and job.pending is not None and public_url and token:
        where = f"{public_url}/decide/{job.job_id}/{token}"
    return WebhookEvent.model_validate({"type": event, "timestamp": rfc3339(at), "data": data, "decisionUrl": where})


def budget_event(budget: NearlySpent, at: int) -> BudgetEvent:
    """Return the body of a webhook that warns of a budget; `at` in ms."""
    day = 86_400_000
    state = BudgetState(
        caller=budget.caller,
        date=rfc3339(budget.day * day)[:10],
        spent_usd=budget.spent,
        daily_usd=budget.budget,
        resets_at=rfc3339((budget.day + 1) * day),
    )
    return BudgetEvent(type="budget.warning", timestamp=rfc3339(at), data=state)


def schedule_event(paused: Paused, at: int) -> ScheduleEvent:
    """Return the body of a webhook of a schedule that was paused; `at` in ms."""
    data = PausedSchedule(schedule_id=paused.schedule, name=paused.name, failures=paused.failures, code=paused.code)
    return ScheduleEvent(type="schedule.paused", timestamp=rfc3339(at), data=data)


def batch_status(batch: StoredBatch) -> BatchStatus:
    """Return a batch's status body."""
    running = "cancelling" if "cancelling" in batch.record else "running"
    return BatchStatus.model_validate(
        {
            "batchId": batch.batch_id,
            "requestId": batch.record["req"],
            "state": "ended" if batch.ended else running,
            "counts": batch.counts,
            "metadata": batch.metadata,
            "createdAt": when(batch.moment("created")),
            "finishedAt": when(batch.moment("finished")),
            "expiresAt": when(batch.moment("expires")),
        }
    )


def batch_event(batch: StoredBatch, at: int) -> BatchEvent:
    """Return the body of a batch's webhook; `at` in ms."""
    return BatchEvent(type="batch.ended", timestamp=rfc3339(at), data=batch_status(batch))


def _attempt(one: Attempt) -> dict[str, Any]:
    return {
        "startedAt": rfc3339(one.began),
        "endedAt": rfc3339(one.ended),
        "code": one.code,
        "model": one.seen.get("model"),
    }


def attempts_for_operators(job: StoredJob) -> list[dict[str, Any]]:
    """Return every attempt with Claude's answers to its failed requests, including attempts that do not count."""
    return [{**_attempt(one), "counts": one.counts, "requests": one.seen.get("requests", [])} for one in job.attempts]


def pauses_for_operators(job: StoredJob) -> list[dict[str, Any]]:
    """Return the pauses that have ended, each with its call, its outcome and who decided."""
    return [
        {
            "decisionId": one["id"],
            "kind": one["kind"],
            "tool": one["tool"],
            "askedAt": rfc3339(one["askedAt"]),
            "endedAt": rfc3339(one["endedAt"]),
            "outcome": one["outcome"],
            "by": one["by"] or None,
        }
        for one in job.pauses
    ]


def _common(job: StoredJob) -> dict[str, Any]:
    return {
        "jobId": job.job_id,
        "requestId": job.record["req"],
        "state": job.record["state"],
        "progress": int(job.record["progress"]),
        "error": job.error,
        "priority": PRIORITIES[int(job.record["prio"])],
        "attempts": int(job.record["attempts"]),
        "attemptsDetail": [_attempt(one) for one in job.attempts if one.counts],
        "mcpServers": job.mcp["servers"],
        "metadata": job.metadata,
        "batchId": job.record.get("batch"),
        "createdAt": when(job.moment("created")),
        "startedAt": when(job.moment("started")),
        "finishedAt": when(job.moment("finished")),
        "startsAt": when(job.starts),
        "scheduleId": job.record.get("schedule"),
        "queuePosition": job.position,
        "steps": int(job.record.get("steps", 0)),
        "waitingFor": _waiting_for(job.waiting),
        "pending": None if job.pending is None else pending_of(job.pending),
    }


def pending_of(call: dict[str, Any]) -> dict[str, Any]:
    """Return the call that a job is paused for; the store has its times in ms."""
    return {**call, "askedAt": rfc3339(call["askedAt"]), "expiresAt": rfc3339(call["expiresAt"])}


def _waiting_for(waiting: dict[str, Any] | None) -> dict[str, Any] | None:
    if waiting is None:
        return None
    retry_at = waiting["retryAt"]
    return {
        "code": waiting["code"],
        "since": rfc3339(waiting["since"]),
        "retryAt": None if retry_at is None else rfc3339(retry_at),
    }
