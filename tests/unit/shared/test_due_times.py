"""Due times over changes of the clocks, leap days and the forms of cron expressions."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import due_times


def ms(text):
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def upcoming(cron, zone, at, count=3):
    found = due_times.upcoming(cron, zone, ms(at), count)
    return [datetime.fromtimestamp(one / 1000, UTC).isoformat().removesuffix(":00+00:00") for one in found]


def test_a_time_that_does_not_exist_is_skipped():
    """Catches a run at 03:00 on the day on which the clocks go from 02:00 to 03:00."""
    assert upcoming("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z") == [
        "2026-03-30T00:30", "2026-03-31T00:30", "2026-04-01T00:30",
    ]  # fmt: skip


def test_a_time_that_occurs_twice_is_due_once():
    """Catches a second run after the clocks went back, and one at the second occurrence."""
    assert upcoming("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z") == [
        "2026-10-25T00:30", "2026-10-26T01:30", "2026-10-27T01:30",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 * * * *", ["2026-10-25T00:00", "2026-10-25T02:00", "2026-10-25T03:00"]),
        ("*/30 * * * *", ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T02:00"]),
    ],
)
def test_the_rule_also_holds_for_every_hour_and_half_hour(cron, expected):
    assert upcoming(cron, "Europe/Berlin", "2026-10-24T23:59Z") == expected


def test_clocks_that_move_by_half_an_hour():
    assert upcoming("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00Z")[0] == "2026-10-04T15:15"
    assert upcoming("45 1 * * *", "Australia/Lord_Howe", "2026-04-03T20:00Z")[0] == "2026-04-04T14:45"


def test_a_day_that_a_place_left_out_has_no_due_time():
    assert upcoming("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00Z", 2) == ["2011-12-29T22:00", "2011-12-30T22:00"]


def test_the_leap_day():
    assert upcoming("0 0 29 2 *", "UTC", "2026-01-01T00:00Z") == [
        "2028-02-29T00:00", "2032-02-29T00:00", "2036-02-29T00:00",
    ]  # fmt: skip
    assert upcoming("@daily", "UTC", "2028-02-28T00:00Z", 2) == ["2028-02-29T00:00", "2028-03-01T00:00"]


@pytest.mark.parametrize("at", ["2026-10-25T00:31Z", "2026-10-25T01:15Z", "2026-10-25T01:45Z", "2026-10-25T02:00Z"])
def test_the_last_due_time_is_found_while_an_hour_repeats(at):
    """Catches a search that begins at the wall clock, which has been set back behind the due time."""
    assert due_times.last("30 2 * * *", "Europe/Berlin", ms(at)) == ms("2026-10-25T00:30Z")


crons = st.sampled_from(
    ["* * * * *", "*/7 1-3 * * *", "30 2 * * *", "0 0 29 2 *", "@hourly", "15 2 * 3,10 0", "0 12 L * *"]
)
places = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
times = st.integers(ms("2024-01-01T00:00Z"), ms("2030-01-01T00:00Z"))


@given(crons, places, times)
def test_forward_and_back_agree(cron, place, at):
    """Catches a due time that only one direction finds: it would be carried out twice, or never."""
    first, second = due_times.upcoming(cron, place, at, 2)
    assert at < first < second
    assert due_times.last(cron, place, first) == first
    assert due_times.last(cron, place, second - 1) == first
    assert due_times.last(cron, place, first - 1) <= at


@given(crons, places, times)
def test_due_times_ascend_and_are_whole_minutes(cron, place, at):
    found = due_times.upcoming(cron, place, at, 20)
    assert all(one < other for one, other in pairwise(found))
    assert all(one % 60_000 == 0 for one in found)


@pytest.mark.parametrize(
    "text", [*due_times.MACROS, "@DAILY", "0 0 * * MON-FRI", "0 0 L * *", "0 0 * * 5L", "0 0 * * MON#1"]
)
def test_expressions_that_are_accepted(text):
    assert due_times.check(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "* * * *", "* * * * * *", "@reboot", "60 * * * *", "* 24 * * *", "0 0 31 2 *", "0 0 30 2 *",
        "a b c d e",
        "*/0 * * * *", "5-1 * * * *", "², * * * *", "* * * * 8", "1/L * * * *", "0 0 L/x * *", "* * * * L",
        "-1 * * * *",
        "0," * 150 + "0 * * * *", "\u0661 * * * *", "0 0 * * MON#6", "* * * * \0",
    ],
)  # fmt: skip
def test_expressions_that_are_refused(text):
    with pytest.raises(ValueError, match=r"cron expression|fields"):
        due_times.check(text)


@given(st.text(st.sampled_from("0123456789*/,-L#W MONJAN@\0²é"), max_size=40))
def test_no_text_makes_another_error(text):
    """Catches an exception of the parser that would become a 500."""
    try:
        due_times.check(text)
    except ValueError:
        return
    assert due_times.upcoming(text, "Europe/Berlin", ms("2026-01-01T00:00Z"), 5)


@pytest.mark.parametrize(
    "name", ["", "Mars/Base", "europe/berlin", "../UTC", "/etc/localtime", "right/UTC", "localtime", "Europe", "UTC\0"]
)
def test_zones_that_are_refused(name):
    with pytest.raises(ValueError, match="IANA"):
        due_times.check_zone(name)
