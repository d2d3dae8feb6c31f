"""Count the Redis commands of a job from its submission to its end: in total, and on RQ's keys.

Counts with MONITOR, which includes commands inside scripts. The commands of an idle gateway are measured first and
subtracted.
"""

import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import redis

from shared.store import keys
from tests.benchmarks.figures import Figure
from tests.support.deployment import Deployment
from tests.support.scripted_model import ScriptedModel

SLOTS, JOBS, IDLE = 2, 20, 10.0
# Commands of transactions, which only RQ's client uses.
_TRANSACTION = {"MULTI", "EXEC", "WATCH", "UNWATCH", "DISCARD"}


class _Monitor:
    """Counts the commands that a store receives, by whether they are RQ's."""

    def __init__(self, port: int) -> None:
        self.counts: Counter[str] = Counter()
        self.commands: Counter[str] = Counter()
        self._connection = redis.Redis(port=port, decode_responses=True)
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    def _run(self, started: threading.Event) -> None:
        with self._connection.monitor() as monitor:
            started.set()
            for seen in monitor.listen():
                self._count(seen)

    def _count(self, seen: dict[str, Any]) -> None:
        name, _, rest = seen["command"].partition(" ")
        of_rq = name.upper() in _TRANSACTION or (" rq:" in f" {rest}" and not name.upper().startswith("EVAL"))
        self.counts["rq" if of_rq else "ours"] += 1
        self.commands[f"{name.upper()} {rest.split(' ')[0][:24]}"] += 1

    def snapshot(self) -> Counter[str]:
        """Return what has been counted so far."""
        return Counter(self.counts)


def _rates(counts: Counter[str], seconds: float) -> dict[str, float]:
    return {kind: counts[kind] / seconds for kind in ("ours", "rq")}


def measure() -> list[Figure]:
    """Run jobs without waiting clients, and count their commands."""
    with (
        tempfile.TemporaryDirectory() as name,
        ScriptedModel() as model,
        Deployment(Path(name), model.url, QUEUE_CONCURRENCY=str(SLOTS)) as gateway,
        redis.Redis(port=gateway.redis.port, decode_responses=True) as store,
    ):
        gateway.start_worker()
        gateway.wait_for_slots(SLOTS)
        gateway.ask("first")  # loads every script into Redis
        monitor = _Monitor(gateway.redis.port)
        time.sleep(IDLE)
        idle = _rates(monitor.snapshot(), IDLE)
        before, started, looks = monitor.snapshot(), time.monotonic(), 0
        for number in range(JOBS):
            gateway.submit(f"hello {number}")
        while store.zcard(keys.every("completed")) <= JOBS:
            looks += 1
            time.sleep(0.1)
        time.sleep(1)  # for commands after the end of a job
        took = time.monotonic() - started
        counted = monitor.snapshot() - before
        counted["ours"] -= looks
        gateway.kill_worker()
    a_job = {kind: (counted[kind] - idle[kind] * took) / JOBS for kind in ("ours", "rq")}
    total = sum(a_job.values())
    detail = f"{a_job['rq']:.0f} on RQ's keys; {sum(idle.values()) / SLOTS:.0f} per second for an idle slot"
    return [Figure("Redis commands per job", "", total, "≤", 90, detail=detail)]
