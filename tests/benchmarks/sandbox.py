"""Measure what the sandbox costs: a job with a waiting CLI, and one that starts its own."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.figures import Figure
from tests.benchmarks.warm import Job, gateway, medians, through
from tests.support.scripted_model import ScriptedModel


def measure() -> list[Figure]:
    """Compare jobs in a sandbox with jobs without one, in turn."""
    took: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name, ScriptedModel() as model:
        for warm in ("true", "false"):
            with ExitStack() as stack:
                asks = {}
                for sandbox in ("auto", "off"):
                    one = gateway(Path(name) / f"{warm}-{sandbox}", model.url, RUN_SANDBOX=sandbox, CLAUDE_WARM=warm)
                    asks[sandbox] = through(stack.enter_context(one), Job("plain", 0))
                took[warm] = medians(asks)
    warm_, cold = took["true"], took["false"]
    return [
        Figure("job with a waiting CLI in the sandbox", "without a sandbox", warm_["auto"] / warm_["off"], "≤", 1.05,
               detail=f"{warm_['auto']:.0f} ms, {warm_['off']:.0f} ms"),
        Figure("added by the sandbox to a cold start", "without a sandbox", cold["auto"] - cold["off"], "≤", 60, "ms",
               detail=f"{cold['auto']:.0f} ms, {cold['off']:.0f} ms"),
    ]  # fmt: skip
