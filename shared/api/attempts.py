"""The attempts of a job as clients see them, and why a running one waits."""

from shared.api.vocabulary import ErrorCode
from shared.api.wire import Wire


class AttemptDetail(Wire):
    """One attempt of a job: its times, its error code or null, and the model that answered."""

    started_at: str
    ended_at: str
    code: ErrorCode | None
    model: str | None


class WaitingFor(Wire):
    """Why a running job waits: the error of Claude's, since when, and when the request is sent again."""

    code: ErrorCode
    since: str
    retry_at: str
