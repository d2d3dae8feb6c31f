"""A worker that is PID 1 of its container, killed and restarted."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from shared.store import keys
from tests.support.worker import MAY_TAKE, Worker

UNSHARE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]


def _has_namespaces() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], check=False, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not _has_namespaces(), reason="needs namespaces of processes")


def _first(worker: Worker) -> psutil.Process:
    """Return PID 1 of a worker's namespace."""
    deadline = time.monotonic() + 10
    while not (found := worker.process.children()):
        assert time.monotonic() < deadline
    return found[0]


@pytest.mark.slow
def test_a_killed_worker_starts_again_with_its_host_and_pid(server, store, tmp_path):
    for restart in range(2):
        with Worker(tmp_path, server.url, prefix=UNSHARE) as worker:
            worker.wait_for_line("slot_started", times=2 * (restart + 1))
            worker.wait_for_slots(store, 2, known=2 * (restart + 1))
            _first(worker).send_signal(signal.SIGKILL)  # which ends its whole namespace
            worker.process.wait(10)
    names = store.zrange(keys.SLOTS, 0, -1)
    assert len({name.rsplit("-", 2)[0] for name in names}) == 1, "host and pid differ: nothing was tried"
    assert len(names) == 4
    assert "already" not in worker.log
    assert "Traceback" not in worker.log


def _handles_sigterm(process: psutil.Process) -> bool:
    """Return whether a process has a handler for SIGTERM."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.mark.slow
def test_pid_1_handles_a_stop_at_any_time(server, store, tmp_path):
    # The kernel drops signals to PID 1 without a handler.
    for delay in (0.0, 0.3, 1.0):
        with Worker(tmp_path, server.url, prefix=UNSHARE) as worker:
            first = _first(worker)
            deadline = time.monotonic() + 30
            while not _handles_sigterm(first):
                assert time.monotonic() < deadline
                time.sleep(0.001)
            time.sleep(delay)
            first.send_signal(signal.SIGTERM)
            started = time.monotonic()
            worker.process.wait(MAY_TAKE + 15)
            assert time.monotonic() - started < MAY_TAKE, worker.log
