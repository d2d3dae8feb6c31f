"""The attempts of a job as clients see them, and why a running one waits."""

from typing import Literal

from shared.api.vocabulary import ErrorCode
from shared.api.wire import Wire


class AttemptDetail(Wire):
    """One attempt of a job: its times, its error code or null, and the model that answered."""

    started_at: str
    ended_at: str
    code: ErrorCode | None
    model: str | None


class WaitingFor(Wire):
    """Why a job waits: the error of Claude's that a running job met, or `sandbox_unavailable` for a job with tools.

    The latter waits for a worker with a sandbox; then `retryAt` is null.
    """

    code: ErrorCode | Literal["sandbox_unavailable"]
    since: str
    retry_at: str | None
