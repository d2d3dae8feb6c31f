"""Measure the latency of an answer: through the gateway, with the bare CLI, and directly from the model.

The model is a Messages API on loopback that responds immediately or after a second, so that Claude's time is excluded.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import httpx
from claude_agent_sdk import ResultMessage

from functions.worker.cli.options import options_for
from functions.worker.cli.plan import Prompt, plan_for
from functions.worker.cli.process import Cli
from functions.worker.cli.prompt import messages_of
from functions.worker.cli.workspace import Workspace
from shared.configuration.settings import WorkerSettings
from tests.benchmarks.figures import Figure
from tests.support.gateway import Gateway
from tests.support.real_cli import ask_real_cli
from tests.support.scripted_model import ScriptedModel
from tests.support.scripted_replies import Text

RUNS, SLOW_RUNS, CLI_RUNS = 8, 12, 4
# The time that a slot needs to prepare its next CLI.
PAUSE = 1.0
THINKS = 1.0


def in_turn(ways: dict[str, Callable[[], None]], runs: int, pause: float) -> dict[str, list[float]]:
    """Return the milliseconds of each variant, measured in turn so that a machine that slows down does so for all."""
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, ask in ways.items():
            started = time.perf_counter()
            ask()
            took[name].append((time.perf_counter() - started) * 1000)
            time.sleep(pause)
    return took


def asker(gateway: Gateway) -> Callable[[], None]:
    """Return a function that submits a query and waits for its result in the same request."""
    number = iter(range(1_000_000))

    def ask() -> None:
        # A new query each time, so that none is cached.
        body = {"query": f"hello {next(number)}"}
        answer = gateway.client.post("/api/query", json=body, headers={"prefer": "wait=25"})
        assert answer.json()["result"]["response"] == "ok", answer.text

    return ask


def directly(url: str) -> Callable[[], None]:
    """Return a function that calls the model directly, streaming as the CLI does."""
    client = httpx.Client(base_url=url, trust_env=False)
    body = {"model": "m", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hello"}]}

    def ask() -> None:
        assert "message_stop" in client.post("/v1/messages", json=body).text

    return ask


def measure() -> list[Figure]:
    """Compare with the bare CLI, then with the model itself."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        model = stack.enter_context(ScriptedModel())
        (folder / "bare").mkdir()
        variables = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "k", "QUEUE_CONCURRENCY": "1"}
        gateway = asker(stack.enter_context(Gateway(folder, **variables)))

        def bare() -> None:
            assert ask_real_cli("hello", model.url, folder / "bare")["result"] == "ok"

        ways = {"bare": bare, "gateway": gateway}
        apart = in_turn(ways, RUNS, PAUSE)
        # One variant after the other: a slot that starts its next CLI would slow down the other variant.
        together = {name: in_turn({name: ask}, RUNS, 0)[name] for name, ask in ways.items()}
        model.reply = lambda _: Text("ok", delay_before=THINKS)
        time.sleep(PAUSE)
        alone = in_turn({"directly": directly(model.url)}, 5, 0)["directly"]
        floor = asyncio.run(_the_cli_alone(model.url))
        through = in_turn({"gateway": gateway}, SLOW_RUNS, PAUSE / 2)["gateway"]
    return [
        _against("POST to result, a second apart", apart, 0.24),
        _against("POST to result, back to back", together, 0.95),
        *_added(through, statistics.median(alone), floor),
    ]


def _against(what: str, took: dict[str, list[float]], goal: float | None) -> Figure:
    bare, ours = statistics.median(took["bare"]), statistics.median(took["gateway"])
    detail = f"{ours:.0f} ms, {bare:.0f} ms"
    return Figure(what, "bare `claude -p`", ours / bare, "≤" if goal else "", goal or 0, detail=detail)


async def _the_cli_alone(url: str) -> float:
    """Return the median ms from prompt to result of a warm CLI without the gateway."""
    settings = WorkerSettings()
    took = []
    with patch.dict(os.environ, {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "k"}):
        for number in range(CLI_RUNS):
            workspace = Workspace.create()
            cli = Cli(workspace, options_for(plan_for({}, settings), settings, workspace))
            await cli.start()
            await asyncio.sleep(PAUSE / 2)
            started = time.perf_counter()
            await cli.send(messages_of(Prompt(f"hello {number}")))
            async for message in cli.messages():
                if isinstance(message, ResultMessage):
                    break
            took.append((time.perf_counter() - started) * 1000)
            await cli.kill()
    return statistics.median(took)


def _added(took: list[float], alone: float, floor: float) -> list[Figure]:
    added = sorted(one - alone for one in took)
    against = f"the model directly, {alone:.0f} ms"
    return [
        Figure("latency added to a model call of 1 s, median", against, statistics.median(added), "≤", 100, "ms"),
        Figure("  of which the warm CLI", against, floor - alone, unit="ms"),
        Figure(f"latency added to a model call of 1 s, worst of {len(added)}", against, added[-1], "≤", 200, "ms"),
    ]
