"""The attempts of a job, and the reason why a running job waits."""

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
    """The reason of a wait: the error of Claude, its time and the time of the next request.

    A job with tools waits for a worker with a sandbox with the code `sandbox_unavailable`, and a job with a repository
    for its clone with `cloning`; then `retryAt` is null.
    """

    code: ErrorCode | Literal["sandbox_unavailable", "cloning"]
    since: str
    retry_at: str | None
