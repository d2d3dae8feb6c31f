"""An outcome ends the job, or leads to another attempt."""

import pytest

from functions.worker.jobs.outcome import Outcome, failed
from functions.worker.jobs.settling import settlement_of
from shared.configuration.settings import WorkerSettings
from shared.store.jobs.claims import Claim, ClaimedJob
from shared.store.jobs.settlements import Finish, Retry

SETTINGS = WorkerSettings(claude_max_retries=3, session_ttl=99)


def job(attempts=0):
    return ClaimedJob(Claim("j", 1, "here"), {}, attempts, 60_000, "r", "c")


def test_an_error_that_may_pass_is_retried():
    settlement = settlement_of(job(), failed("overloaded"), 60, SETTINGS)
    assert isinstance(settlement, Retry)
    assert 750 <= settlement.delay_ms <= 1250


@pytest.mark.parametrize(
    ("attempts", "code", "left"), [(2, "overloaded", 60), (0, "overloaded", 0.5), (0, "max_turns", 60)]
)
def test_a_job_ends_without_an_attempt_or_the_time_for_it(attempts, code, left):
    """Catches a retry beyond CLAUDE_MAX_RETRIES, beyond the clock, or of an error that stays."""
    settlement = settlement_of(job(attempts), failed(code), left, SETTINGS)
    assert isinstance(settlement, Finish)
    assert (settlement.state, settlement.code) == ("failed", code)


def test_a_retry_waits_for_as_long_as_claude_wants():
    settlement = settlement_of(job(), failed("rate_limited", 30_000), 60, SETTINGS)
    assert isinstance(settlement, Retry)
    assert (settlement.delay_ms, settlement.wait_ms) == (30_000, 30_000)


def test_cost_and_session_of_a_success_are_settled_by_name():
    """Catches a settlement that reads them out of the result that it stores."""
    outcome = Outcome("completed", {"result": {"costUsd": 0.5, "sessionId": "kept"}})
    settlement = settlement_of(job(), outcome, 60, SETTINGS)
    assert isinstance(settlement, Finish)
    assert (settlement.saves_usd, settlement.session_id, settlement.keep_session_s) == (0.5, "kept", 99)
