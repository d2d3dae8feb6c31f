"""A worker that vanishes: its job runs again once, and nothing is left behind."""

import signal
import threading

import psutil
import pytest

from tests.support.scripted_model import Hang, Text


@pytest.fixture(scope="module")
def variables():
    return {"DEDUP_ENABLED": "true"}


def slot_of(gateway, cli):
    """Return the process of the slot that runs a CLI."""
    return psutil.Process(cli.pid).parent()


@pytest.mark.once
@pytest.mark.slow
def test_a_job_of_a_killed_slot_runs_again_for_all_joined_submissions(gateway, model, script):
    never = threading.Event()
    script(lambda body: Hang(until=never))
    submitted = [gateway.client.post("/api/query", json={"query": "survive"}).json() for _ in range(20)]
    assert len({answer["jobId"] for answer in submitted}) == 1
    cli = gateway.until(gateway.running, bool)[0]
    script(lambda body: Text("again"))
    slot_of(gateway, cli).send_signal(signal.SIGKILL)
    # Only the slot was killed: its children are found and ended too.
    psutil.wait_procs([cli], timeout=10)
    assert not cli.is_running()
    job = gateway.finished(submitted[0]["jobId"], timeout=40)
    assert (job["state"], job["result"]["response"], job["attempts"]) == ("completed", "again", 2)
    never.set()
