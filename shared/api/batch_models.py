"""The objects that clients receive about batches."""

from typing import Literal

from pydantic import Field

from shared.api.models import Wire


class BatchCounts(Wire):
    """The number of a batch's jobs in each state, all at one moment."""

    total: int
    waiting: int
    active: int
    delayed: int
    paused: int
    completed: int
    failed: int
    cancelled: int


class BatchStatus(Wire):
    """The state of a batch."""

    batch_id: str
    request_id: str
    state: Literal["running", "cancelling", "ended"]
    counts: BatchCounts
    metadata: dict[str, str]
    created_at: str
    finished_at: str | None
    expires_at: str | None = Field(description="When its results are deleted.")


class BatchPage(Wire):
    """A page of a caller's batches, newest first; `nextCursor` is null on the last."""

    batches: list[BatchStatus]
    next_cursor: str | None


class BatchEvent(Wire):
    """The body of a batch's webhook, sent once, when all of its jobs have ended."""

    type: Literal["batch.ended"]
    timestamp: str
    data: BatchStatus
