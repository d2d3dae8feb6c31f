"""The verdict on a delivery attempt."""

import email.utils
import time

import pytest

from functions.worker.webhooks.attempt import Response, _seconds, next_step
from shared.store.webhooks.outbox import AttemptResult

SCHEDULE = (5, 300, 1800)


def answer(status, retry_after=0):
    return Response(AttemptResult(status, None if status else "connection refused", 1), retry_after)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_a_delivery(status):
    assert next_step(answer(status), 0, SCHEDULE) == ("delivered", 0)


@pytest.mark.parametrize("status", [None, 101, 301, 302, 307, 308, 400, 401, 404, 429, 500, 503])
def test_any_other_answer_is_retried(status):
    assert next_step(answer(status), 0, SCHEDULE) == ("retried", 5)


def test_attempts_follow_the_schedule_to_its_end():
    steps = [next_step(answer(500), tries, SCHEDULE) for tries in range(4)]
    assert steps == [("retried", 5), ("retried", 300), ("retried", 1800), ("abandoned", 0)]


def test_410_ends_the_attempts():
    assert next_step(answer(410), 0, SCHEDULE) == ("abandoned", 0)


def test_retry_after_makes_a_pause_longer_and_never_shorter():
    assert next_step(answer(503, 60), 0, SCHEDULE) == ("retried", 60)
    assert next_step(answer(503, 60), 1, SCHEDULE) == ("retried", 300)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 0), ("", 0), ("-5", 0), ("soon", 0), ("999999999999", 86_400), ("٣", 0), ("1.5", 0)],
)
def test_retry_after_in_seconds(header, seconds):
    assert _seconds(header) == seconds


def test_retry_after_as_a_date():
    assert 58 <= _seconds(email.utils.formatdate(time.time() + 60, usegmt=True)) <= 60
    assert _seconds(email.utils.formatdate(time.time() - 60, usegmt=True)) == 0
