"""Measure jobs per second with all slots busy, and the CPU seconds of gateway and CLIs.

The comparison is with one process per slot that runs the bare CLI in a loop.
"""

import os
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil

from tests.benchmarks.figures import Figure
from tests.support.deployment import Deployment
from tests.support.real_cli import ask_real_cli
from tests.support.scripted_model import ScriptedModel

SLOTS, JOBS = 4, 20


def _bare(url: str, folder: Path) -> tuple[float, float]:
    """Return the jobs per second of the bare CLI, and its CPU seconds per job."""
    homes = [folder / f"bare{number}" for number in range(SLOTS)]
    for home in homes:
        home.mkdir(exist_ok=True)

    def loop(home: Path) -> None:
        for _ in range(JOBS // SLOTS):
            assert ask_real_cli("hello", url, home)["result"] == "ok"

    started, before = time.perf_counter(), os.times()
    with ThreadPoolExecutor(SLOTS) as threads:
        list(threads.map(loop, homes))
    a_second, after = JOBS / (time.perf_counter() - started), os.times()
    return a_second, (
        after.children_user + after.children_system - before.children_user - before.children_system
    ) / JOBS


class _Cpu:
    """CPU seconds so far, of our processes and of the CLIs that they have reaped."""

    def __init__(self, gateway: Deployment) -> None:
        assert gateway.worker is not None
        worker = [gateway.worker, *gateway.worker.children(recursive=True)]
        self._slots = [process for process in worker if process.name() == "cg-slot"]
        ours = [process for process in worker if process.name().startswith("cg-") or process == gateway.worker]
        self._ours = [*ours, gateway.api, psutil.Process(gateway.redis.pid)]

    def read(self) -> tuple[float, float]:
        """Return the seconds of the processes and of the CLIs."""
        mine = [process.cpu_times() for process in self._ours]
        slots = [process.cpu_times() for process in self._slots]
        return (
            sum(times.user + times.system for times in mine),
            sum(times.children_user + times.children_system for times in slots),
        )


def _through(gateway: Deployment) -> float:
    """Return the jobs per second through the gateway with all slots busy."""
    ended: list[float] = []
    seen = threading.Semaphore(0)

    def follow(job: str) -> None:
        # One request for each job, as a client sends it.
        while (body := gateway.client.get(f"/api/query/{job}", params={"wait": 25}).json())["finishedAt"] is None:
            pass
        assert body["state"] == "completed", body
        ended.append(time.perf_counter())
        seen.release()

    # One more per slot: the first jobs have warm CLIs and are not counted.
    jobs = [gateway.submit(f"hello {number} {time.monotonic_ns()}") for number in range(JOBS + SLOTS)]
    with ThreadPoolExecutor(len(jobs)) as threads:
        list(threads.map(follow, jobs))
    ended.sort()
    return JOBS / (ended[-1] - ended[SLOTS - 1])


def measure() -> list[Figure]:
    """Compare one after the other, because each uses the whole machine."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        model = stack.enter_context(ScriptedModel())
        gateway = stack.enter_context(Deployment(folder, model.url, QUEUE_CONCURRENCY=str(SLOTS)))
        first = _bare(model.url, folder)
        gateway.start_worker()
        gateway.wait_for_slots(SLOTS)
        cpu = _Cpu(gateway)
        ours, theirs = cpu.read()
        through = _through(gateway)
        ours, theirs = (new - old for new, old in zip(cpu.read(), (ours, theirs), strict=True))
        gateway.kill_worker()
        bare, least = ((one + other) / 2 for one, other in zip(first, _bare(model.url, folder), strict=True))
    a_job = [spent / (JOBS + SLOTS) * 1000 for spent in (ours, theirs)]
    return [
        Figure("jobs per second, all slots busy", f"bare CLI, {SLOTS} at a time", through / bare, "≥", 1.25,
               detail=f"{through:.2f}/s, {bare:.2f}/s"),
        Figure("  CPU of a bare CLI", "CPU of a warm CLI", least * 1000 / a_job[1],
               detail=f"{least * 1000:.0f} ms, {a_job[1]:.0f} ms"),
        Figure("CPU of worker, API and Redis per job", "CPU of the CLI", ours / theirs, "≤", 0.10,
               detail=f"{a_job[0]:.0f} ms, {a_job[1]:.0f} ms"),
    ]  # fmt: skip
