"""The description of a job until its first text."""

import pytest

from local.job_text import details_of, reason_of, state_of
from local.progress_display import ProgressDisplay

WAITING = {"state": "waiting", "queuePosition": 2}
CASES = [
    (WAITING, {}, "waiting, 2 ahead of it"),
    (WAITING | {"queuePosition": 0}, {"slots": 2, "active": 2}, "waiting, first in the queue, all slots are busy"),
    (WAITING, {"reason": "paused"}, "waiting: the queue is paused by an operator, 2 ahead of it"),
    (WAITING, {"reason": "no_worker"}, "waiting: no worker is running, 2 ahead of it"),
    (WAITING, {"reason": "authentication_failed"}, "waiting: Claude refuses the gateway's credentials, 2 ahead of it"),
    (WAITING, {"reason": "billing_error"}, "waiting: Claude refuses the gateway's account, 2 ahead of it"),
    (WAITING, {"reason": "rate_limited"}, "waiting: Claude limits the rate of requests, 2 ahead of it"),
    (WAITING, {"reason": "of_a_later_version"}, "waiting: of_a_later_version, 2 ahead of it"),
    ({"state": "delayed"}, {}, "delayed: the attempt failed; retrying soon"),
    (
        {"state": "delayed", "attempts": 0, "startsAt": "2027-01-01T00:00:00.000Z"},
        {},
        "delayed until 2027-01-01T00:00:00.000Z",
    ),
    ({"state": "active", "queuePosition": None}, {"reason": "paused"}, "active"),
    (
        {"state": "active", "waitingFor": {"code": "overloaded", "retryAt": "2026-01-31T12:00:00Z"}},
        {},
        "active: Claude is overloaded, next attempt at 2026-01-31T12:00:00Z",
    ),
    ({"state": "\x1b[2J"}, {}, "\\u001b[2J"),
    ({}, {"reason": 7, "slots": "many"}, "unknown"),
]


@pytest.mark.parametrize(("status", "health", "text"), CASES)
def test_a_job_is_described_by_state_reason_and_place(status, health, text):
    assert state_of(status, health) == text


def test_a_status_without_health_keeps_the_last_reason():
    display = ProgressDisplay(lambda: pytest.fail("nothing is polled"))
    display.note(WAITING, {"reason": "paused"})
    display.note(WAITING)
    assert "paused" in display._text
    display.note({"state": "active"})
    assert display._text == "active"


def test_only_a_waiting_job_has_a_reason():
    assert reason_of({"state": "completed"}, {"reason": "paused"}) == ""


def test_details_leave_out_absent_fields():
    lines = details_of({"jobId": "j", "state": "failed", "error": {"code": "timeout", "message": "Too slow"}}, {})
    assert "error        timeout: Too slow" in lines
    assert "model" not in lines
    assert "None" not in details_of({"jobId": "j", "state": "active", "progress": 10}, {})
