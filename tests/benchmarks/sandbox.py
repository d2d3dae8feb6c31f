"""Measure what the sandbox costs: a job with a waiting CLI, and one that starts its own."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.figures import Figure
from tests.benchmarks.warm import Job, gateway, medians, through
from tests.support.scripted_model import ScriptedModel


def measure() -> list[Figure]:
    """Compare jobs in a sandbox with jobs without one, in turn."""
    took: dict[str, dict[str, tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name, ScriptedModel() as model:
        for warm in ("true", "false"):
            with ExitStack() as stack:
                asks = {}
                for sandbox in ("auto", "off"):
                    one = gateway(Path(name) / f"{warm}-{sandbox}", model.url, RUN_SANDBOX=sandbox, CLAUDE_WARM=warm)
                    asks[sandbox] = through(stack.enter_context(one), Job("plain", 0))
                took[warm] = medians(asks)
    (inside, _), (outside, _) = took["true"]["auto"], took["true"]["off"]
    (cold_inside, _), (cold_outside, _) = took["false"]["auto"], took["false"]["off"]
    return [
        Figure("job with a waiting CLI in the sandbox", "without a sandbox", inside / outside, "≤", 1.05,
               detail=f"{inside:.0f} ms, {outside:.0f} ms"),
        Figure("added by the sandbox to a cold start", "without a sandbox", cold_inside - cold_outside, "≤", 60, "ms",
               detail=f"{cold_inside:.0f} ms, {cold_outside:.0f} ms"),
    ]  # fmt: skip
