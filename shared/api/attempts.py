"""The attempts of a job, and the reason why a running job waits."""

from shared.api.vocabulary import ErrorCode
from shared.api.wire import Wire


class AttemptDetail(Wire):
    """One attempt of a job: its times, its error code or null, and the model that answered."""

    started_at: str
    ended_at: str
    code: ErrorCode | None
    model: str | None


class WaitingFor(Wire):
    """Why a running job waits: the error of Claude, its time, and the time of the next request."""

    code: ErrorCode
    since: str
    retry_at: str
