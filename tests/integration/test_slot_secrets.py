"""The pool and its slots share nothing by a name that a run could use, with a sandbox or without one."""

import time

import psutil
import pytest

pytestmark = [pytest.mark.once, pytest.mark.slow]


@pytest.fixture(scope="module")
def variables():
    return {"RUN_SANDBOX": "off"}


def named(gateway, name):
    return [process for process in gateway.processes() if process.is_running() and process.name() == name]


def test_the_socket_that_slots_are_started_through_has_no_name(gateway):
    assert list(gateway.runs.rglob("listener-*")) == []


def test_a_slot_that_ends_is_replaced_all_the_same(gateway):
    before = {process.pid for process in named(gateway, "cg-slot")}
    psutil.Process(min(before)).kill()
    deadline = time.monotonic() + 30
    while len(now := {process.pid for process in named(gateway, "cg-slot")} - {min(before)}) < len(before):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert now - before
    assert list(gateway.runs.rglob("listener-*")) == []
