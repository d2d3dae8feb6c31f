"""The objects that clients receive about webhooks, and the bodies of webhooks."""

from typing import Literal

from pydantic import Field

from shared.api.models import Status, Wire

ACTION_REQUIRED = "query.action_required"


class WebhookEvent(Wire):
    """The body of a job's webhook; `data` is the status with the submission's own requestId and metadata."""

    type: Literal["query.completed", "query.failed", "query.cancelled", "query.action_required"]
    timestamp: str
    data: Status
    decision_url: str | None = Field(
        None,
        exclude_if=lambda url: url is None,
        description="A page that decides `data.pending` once, without a key; only with PUBLIC_URL.",
    )


class BudgetState(Wire):
    """A caller's daily budget that is nearly spent."""

    caller: str
    date: str
    spent_usd: float
    daily_usd: float
    resets_at: str


class BudgetEvent(Wire):
    """The body of the webhook that warns of a daily budget, once a day."""

    type: Literal["budget.warning"]
    timestamp: str
    data: BudgetState


class PausedSchedule(Wire):
    """A schedule that was paused because its runs failed."""

    schedule_id: str
    name: str
    failures: int
    code: str = Field(description="The error code of the last failure.")


class ScheduleEvent(Wire):
    """The body of the webhook of a schedule that was paused because its runs failed."""

    type: Literal["schedule.paused"]
    timestamp: str
    data: PausedSchedule


class Delivery(Wire):
    """One delivery attempt of a webhook; `id` is its `webhook-id` header."""

    id: str
    request_id: str
    event: str
    url: str
    attempt: int
    status_code: int | None
    error: str | None
    duration_ms: int
    at: str
    next_attempt_at: str | None


class Deliveries(Wire):
    """A page of the delivery attempts of all webhooks of a job, oldest first; `nextCursor` is null on the last."""

    deliveries: list[Delivery]
    next_cursor: str | None = None


class Redelivery(Wire):
    """The submissions whose webhooks are sent again."""

    job_id: str
    request_ids: list[str]
