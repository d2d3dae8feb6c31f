"""Decides what follows an outcome: the end of the job, or another attempt."""

import random

from functions.worker.jobs.outcome import RETRYABLE, Outcome
from shared.configuration.settings import WorkerSettings
from shared.store.jobs import claims
from shared.store.jobs.settlements import Settlement

# The pause before the second attempt, ms; it doubles for each attempt after that, up to the last.
_BACKOFF_FIRST, _BACKOFF_LAST = 1000, 60_000


def settlement_of(job: claims.ClaimedJob, outcome: Outcome, time_left: float, settings: WorkerSettings) -> Settlement:
    """Return the settlement of an outcome; `time_left` is the rest of the job's clock, s.

    A job that could not start again before its clock ends fails with the error that it has now.
    """
    pause = _pause(job.attempts, outcome)
    code = outcome.code
    may_retry = code in RETRYABLE and job.attempts + 1 < settings.claude_max_retries
    if code is not None and may_retry and pause < time_left * 1000:
        return claims.retry(job.claim, pause, code, outcome.upstream, outcome.spend, outcome.seen)
    return claims.finish(
        job.claim,
        "completed" if outcome.state == "completed" else "failed",
        outcome.body,
        keep_for=settings.result_ttl,
        upstream=outcome.upstream,
        spend=outcome.spend,
        absent=outcome.absent,
        saves_usd=outcome.cost_usd,
        session_id=outcome.session_id,
        keep_session_for=settings.session_ttl,
        seen=outcome.seen,
        outputs=outcome.outputs,
    )


def _pause(attempts: int, outcome: Outcome) -> int:
    """Return ms to the next attempt: exponential with jitter, and not before Claude accepts requests again."""
    backoff = min(_BACKOFF_FIRST * 2**attempts, _BACKOFF_LAST) * random.uniform(0.75, 1.25)  # noqa: S311 -- no secret
    return max(int(backoff), outcome.retry_after or 0)
