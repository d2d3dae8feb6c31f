"""Thousands of processes that a dying slot leaves to the pool: they end, and the pool stays responsive meanwhile."""

import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.gateway import Gateway
from tests.support.scripted_model import ScriptedModel, Text, ToolUse
from tests.support.waiting import until

ORPHANS = 8000
# Every process waits, so that the storm has an end; half of them have another parent than the run's.
STORM = f"""
import ctypes, os, signal
ctypes.CDLL(None).prctl(15, b"storm", 0, 0, 0)
os.setsid()
for number in range({ORPHANS}):
    if os.fork() == 0:
        if number % 2 and os.fork():
            os._exit(0)
        signal.pause()
open("all", "w").close()
signal.pause()
"""


@pytest.fixture
def gateway(tmp_path):
    script = tmp_path / "storm.py"
    script.write_text(STORM)
    attack = ToolUse("Bash", {"command": f"cd {tmp_path} && exec python3 storm.py", "timeout": 600_000})
    with ScriptedModel(lambda _: attack) as model:
        variables = {
            "ANTHROPIC_BASE_URL": model.url, "CLAUDE_MAX_RETRIES": "1", "CLAUDE_TOOLS": "Bash",
            "MAX_RUN_MEMORY": str(1 << 40), "MAX_RUN_PROCESSES": "100000", "QUEUE_CONCURRENCY": "1",
            "RUN_SANDBOX": "off",
        }  # fmt: skip
        with Gateway(tmp_path, **variables) as running:
            yield running
            model.reply = lambda _: Text("fine")


def test_the_pool_stays_idle_while_8000_orphans_end(gateway, tmp_path):
    gateway.client.post("/api/query", json={"query": "storm", "tools": ["Bash"]})
    until((tmp_path / "all").exists, within=120)
    storm = {pid for pid in psutil.pids() if name(pid) == "storm"}
    assert len(storm) > ORPHANS
    pool = next(one for one in gateway.processes() if one.name() == "cg-slot").parent().parent()
    slot = next(one for one in gateway.processes() if one.name() == "cg-slot")
    before, started = cpu(pool), time.monotonic()
    slot.send_signal(signal.SIGKILL)
    until(lambda: not storm & set(psutil.pids()), within=120)
    used, took = cpu(pool) - before, time.monotonic() - started
    assert used / took < 0.2, f"{used:.2f} s of CPU in {took:.1f} s"
    assert gateway.client.get("/health").status_code == 200


def name(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return None


def cpu(process):
    times = process.cpu_times()
    return times.user + times.system
