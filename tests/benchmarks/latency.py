"""How long an answer takes through the gateway and by the bare CLI, side by side in one run: `make bench`.

The model is a Messages API on loopback that answers at once, so that what is measured is not Claude's.
"""

import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.support.gateway import Gateway
from tests.support.real_cli import ask_real_cli
from tests.support.scripted_model import ScriptedModel

RUNS = 20
PAUSE = 1.0


def in_turn(ways: dict[str, Callable[[], None]], pause: float) -> dict[str, float]:
    """Return the median milliseconds of each way; in turn, so that a machine that grows slower does so for all."""
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(RUNS):
        for name, ask in ways.items():
            started = time.perf_counter()
            ask()
            took[name].append((time.perf_counter() - started) * 1000)
            time.sleep(pause)
    return {name: statistics.median(times) for name, times in took.items()}


def asker(gateway: Gateway) -> Callable[[], None]:
    """Return what submits a query and waits for its result in the same request."""
    number = iter(range(1_000_000))

    def ask() -> None:
        # Another query each time: none comes from the cache.
        body = {"query": f"hello {next(number)}"}
        answer = gateway.client.post("/api/query", json=body, headers={"prefer": "wait=25"})
        assert answer.json()["result"]["response"] == "ok", answer.text

    return ask


def main() -> None:
    """Print one table, and the same as JSON."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        model = stack.enter_context(ScriptedModel())
        for part in ("bare", "warm", "cold"):
            (folder / part).mkdir()
        variables = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "k", "QUEUE_CONCURRENCY": "1"}
        warm = stack.enter_context(Gateway(folder / "warm", **variables))
        cold = stack.enter_context(Gateway(folder / "cold", CLAUDE_WARM="false", **variables))

        def bare() -> None:
            assert ask_real_cli("hello", model.url, folder / "bare")["result"] == "ok"

        ways = {"bare": bare, "warm": asker(warm), "cold": asker(cold)}
        apart = in_turn(ways, PAUSE)
        # Each way by itself: a slot that refills beside another way's job would be paid for by that one.
        together = {name: in_turn({name: ask}, 0)[name] for name, ask in ways.items()}
    figures = {"machine": platform.node(), "runs": RUNS, "apart_ms": apart, "together_ms": together}
    print("POST to result, instant model, medians; beside each its ratio to the bare CLI")
    for title, took in (("a second between jobs", apart), ("back to back", together)):
        print(f"  {title}")
        for name, label in (("bare", "bare `claude -p`"), ("warm", "gateway"), ("cold", "without warm slots")):
            print(f"    {label:<20}{took[name]:>6.0f} ms   {took[name] / took['bare']:.2f}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
