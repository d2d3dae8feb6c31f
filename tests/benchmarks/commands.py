"""Count the Redis commands of a job without waiting clients, from its submission to its end.

Counts with MONITOR the commands that the gateway sends, those of them on RQ's keys, and those inside scripts. The
commands of an idle gateway are measured first and subtracted.
"""

import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis

from shared.store import keys
from tests.benchmarks.figures import Figure
from tests.support.deployment import Deployment
from tests.support.scripted_model import ScriptedModel

SLOTS, JOBS, IDLE = 2, 20, 10.0
_KINDS = ("sent", "rq", "inside")
# Commands of transactions, which only RQ's client uses.
_TRANSACTION = {"MULTI", "EXEC", "WATCH", "UNWATCH", "DISCARD"}


class _Monitor:
    """Counts the commands that a store executes."""

    def __init__(self, port: int) -> None:
        self.counts: Counter[str] = Counter()
        self._connection = redis.Redis(port=port, decode_responses=True)
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    def _run(self, started: threading.Event) -> None:
        # The store closes the connection when the measurement ends.
        with suppress(redis.ConnectionError), self._connection.monitor() as monitor:
            started.set()
            for seen in monitor.listen():
                self._count(seen)

    def _count(self, seen: dict[str, Any]) -> None:
        name, _, rest = seen["command"].partition(" ")
        is_inside = seen["client_type"] == "lua"
        self.counts["inside" if is_inside else "sent"] += 1
        if not is_inside and (name.upper() in _TRANSACTION or " rq:" in f" {rest}"):
            self.counts["rq"] += 1

    def snapshot(self) -> Counter[str]:
        """Return what has been counted so far."""
        return Counter(self.counts)


def _rates(counts: Counter[str], seconds: float) -> dict[str, float]:
    return {kind: counts[kind] / seconds for kind in _KINDS}


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
        counted["sent"] -= looks
        gateway.kill_worker()
    a_job = {kind: (counted[kind] - idle[kind] * took) / JOBS for kind in _KINDS}
    detail = (
        f"{max(a_job['rq'], 0):.0f} on RQ's keys; an idle worker of {SLOTS} slots sends {idle['sent']:.0f} per second"
    )
    return [
        Figure("Redis commands sent per job", "", a_job["sent"], "≤", 90, detail=detail),
        Figure("  including those inside scripts", "", a_job["sent"] + a_job["inside"]),
    ]
