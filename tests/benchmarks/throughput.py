"""Measure jobs per second with all slots busy, and the CPU seconds of gateway and CLIs.

The comparison is with one process per slot that runs the bare CLI in a loop.
"""

import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.cpu import machine, seconds
from tests.benchmarks.figures import Figure
from tests.support.deployment import Deployment
from tests.support.real_cli import ask_real_cli
from tests.support.scripted_model import ScriptedModel

SLOTS, JOBS, ROUNDS = 4, 20, 3
# Seconds in which the slots start the next CLIs.
SETTLED = 2.0


def _bare(url: str, folder: Path) -> float:
    """Run the jobs with the bare CLI; return the seconds."""
    homes = [folder / f"bare{number}" for number in range(SLOTS)]
    for home in homes:
        home.mkdir(exist_ok=True)

    def loop(home: Path) -> None:
        for _ in range(JOBS // SLOTS):
            assert ask_real_cli("hello", url, home)["result"] == "ok"

    started = time.perf_counter()
    with ThreadPoolExecutor(SLOTS) as threads:
        list(threads.map(loop, homes))
    return time.perf_counter() - started


def own_seconds(gateway: Deployment) -> float:
    """Return the CPU seconds of the gateway's own processes so far."""
    assert gateway.worker is not None
    worker = [gateway.worker, *gateway.worker.children(recursive=True)]
    own = [one for one in worker if one.name().startswith("cg-") or one == gateway.worker]
    return sum(seconds(pid) for pid in [*(one.pid for one in own), gateway.api.pid, gateway.redis.pid])


def through(gateway: Deployment) -> float:
    """Run the jobs, and one more for each slot, through the gateway; return the seconds from the end of these on.

    The first jobs have waiting CLIs, whose start no job has waited for.
    """
    ended: list[float] = []

    def follow(job: str) -> None:
        # One request for each job, as a client sends it.
        while (body := gateway.client.get(f"/api/query/{job}", params={"wait": 25}).json())["finishedAt"] is None:
            pass
        assert body["state"] == "completed", body
        ended.append(time.perf_counter())

    jobs = [gateway.submit(f"hello {number} {time.monotonic_ns()}") for number in range(JOBS + SLOTS)]
    with ThreadPoolExecutor(len(jobs)) as threads:
        list(threads.map(follow, jobs))
    ended.sort()
    return ended[-1] - ended[SLOTS - 1]


def measure() -> list[Figure]:
    """Compare in turn, because each uses the whole machine."""
    took: dict[str, list[tuple[float, float]]] = {"bare": [], "ours": []}
    own = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        model = stack.enter_context(ScriptedModel())
        gateway = stack.enter_context(Deployment(folder, model.url, QUEUE_CONCURRENCY=str(SLOTS)))
        gateway.start_worker()
        gateway.wait_for_slots(SLOTS)
        ways = {"bare": (lambda: _bare(model.url, folder), JOBS), "ours": (lambda: through(gateway), JOBS + SLOTS)}
        for _ in range(ROUNDS):
            for way, (run, jobs) in ways.items():
                time.sleep(SETTLED)
                before = own_seconds(gateway), machine() - time.process_time()
                elapsed = run()
                time.sleep(SETTLED)
                spent = machine() - time.process_time() - before[1]
                took[way].append((elapsed, spent / jobs * 1000))
                if way == "ours":
                    own.append((own_seconds(gateway) - before[0]) / jobs * 1000)
        gateway.kill_worker()
    bare, ours = (JOBS / statistics.median(one for one, _ in took[way]) for way in ("bare", "ours"))
    cpu, whole = (statistics.median(one for _, one in took[way]) for way in ("bare", "ours"))
    gateways = statistics.median(own)
    return [
        Figure("jobs per second, all slots busy", f"bare CLI, {SLOTS} at a time", ours / bare, "≥", 1.25,
               detail=f"{ours:.2f}/s, {bare:.2f}/s"),
        Figure("  CPU of a job, all processes", "CPU of a bare CLI", whole / cpu,
               detail=f"{whole:.0f} ms, {cpu:.0f} ms"),
        Figure("CPU of worker, API and Redis per job", "CPU of the CLI", gateways / (whole - gateways), "≤", 0.10,
               detail=f"{gateways:.0f} ms, {whole - gateways:.0f} ms"),
    ]  # fmt: skip
