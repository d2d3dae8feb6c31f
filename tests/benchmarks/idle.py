"""Measure the CPU and memory of an idle worker with its warm CLIs."""

import tempfile
import time
from pathlib import Path

from tests.benchmarks import cpu
from tests.benchmarks.figures import Figure
from tests.support.deployment import Deployment
from tests.support.scripted_model import ScriptedModel

SLOTS, SETTLE, SECONDS = 5, 10.0, 10.0


def _cpu(gateway: Deployment) -> dict[str, float]:
    """Return the CPU seconds of the worker's processes so far, by kind."""
    assert gateway.worker is not None
    spent: dict[str, float] = {}
    for process in (gateway.worker, *gateway.below_worker()):
        kind = process.name() if process.name().startswith("cg-") else "pool" if process == gateway.worker else "CLIs"
        spent[kind] = spent.get(kind, 0.0) + cpu.seconds(process.pid)
    return spent


def measure() -> list[Figure]:
    """Measure an idle worker."""
    with (
        tempfile.TemporaryDirectory() as name,
        ScriptedModel() as model,
        Deployment(Path(name), model.url, QUEUE_CONCURRENCY=str(SLOTS)) as gateway,
    ):
        gateway.start_worker()
        gateway.wait_for_slots(SLOTS)
        time.sleep(SETTLE)  # its CLIs use CPU for a while after their start
        before = _cpu(gateway)
        time.sleep(SECONDS)
        after = _cpu(gateway)
        memory = sum(process.memory_full_info().pss for process in gateway.below_worker()) / SLOTS
        gateway.kill_worker()
    shares = {kind: (spent - before.get(kind, 0.0)) / SECONDS for kind, spent in after.items()}
    detail = ", ".join(f"{kind} {share:.4f}" for kind, share in sorted(shares.items()))
    return [
        Figure(f"CPU of an idle worker, {SLOTS} slots", "one core", sum(shares.values()), "≤", 0.015, detail=detail),
        Figure("  of which the warm CLIs", "one core", shares["CLIs"]),
        Figure("memory of an idle slot and its CLI", "", memory / 1e6, unit="MB"),
    ]
