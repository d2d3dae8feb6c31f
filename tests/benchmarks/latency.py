"""How long an answer takes through the gateway and by the bare CLI, side by side in one run: `make bench`.

The model is a Messages API on loopback that answers at once, so that what is measured is not Claude's.
"""

import json
import platform
import statistics
import tempfile
import time
from pathlib import Path

from tests.support.gateway import Gateway
from tests.support.real_cli import ask_real_cli
from tests.support.scripted_model import ScriptedModel

RUNS = 15
PAUSE = 1.0


def main() -> None:
    """Print one table, and the same as JSON."""
    bare, through = [], []
    with tempfile.TemporaryDirectory() as folder, ScriptedModel() as model:
        home = Path(folder) / "bare"
        home.mkdir()
        variables = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "k", "QUEUE_CONCURRENCY": "2"}
        with Gateway(Path(folder), **variables) as gateway:
            for _ in range(RUNS):
                # In turn, so that a machine that grows slower or faster does so for both.
                started = time.perf_counter()
                assert ask_real_cli("hello", model.url, home)["result"] == "ok"
                bare.append(time.perf_counter() - started)
                time.sleep(PAUSE)
                started = time.perf_counter()
                assert gateway.ask("hello")["result"]["response"] == "ok"
                through.append(time.perf_counter() - started)
                time.sleep(PAUSE)
    figures = {
        "machine": platform.node(),
        "runs": RUNS,
        "bare_cli_ms": round(statistics.median(bare) * 1000),
        "gateway_ms": round(statistics.median(through) * 1000),
        "ratio": round(statistics.median(through) / statistics.median(bare), 2),
    }
    print("POST to result, instant model, a second between jobs, medians")
    print(f"  bare `claude -p`  {figures['bare_cli_ms']:>6} ms")
    print(f"  gateway           {figures['gateway_ms']:>6} ms   ratio {figures['ratio']}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
