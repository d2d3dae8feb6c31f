"""Measure the synchronous APIs: what they add to the first token and to the whole answer, and calls a second.

The model is a Messages API on loopback that takes half a second for its first token, so that the CLI is warm again.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from tests.benchmarks.figures import Figure
from tests.support.gateway import Gateway
from tests.support.scripted_model import ScriptedModel
from tests.support.scripted_replies import Text

RUNS, PAUSE, THINKS = 6, 1.0, 0.5
CALLS, SLOTS = 24, 2
MESSAGES: list[dict[str, str]] = [{"role": "user", "content": "hello"}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/messages": {"model": "m", "max_tokens": 512, "messages": MESSAGES},
    "/v1/chat/completions": {"model": "m", "messages": MESSAGES},
    "/v1/responses": {"model": "m", "input": "hello", "store": False},
}
FIRST = b"ok"


def first_and_whole(client: httpx.Client, path: str, body: dict[str, Any]) -> tuple[float, float]:
    """Return the milliseconds to the first text and to the end of a streamed answer."""
    started, first, seen = time.perf_counter(), 0.0, b""
    with client.stream("POST", path, json={**body, "stream": True}) as answer:
        for piece in answer.iter_raw():
            seen += piece
            if not first and FIRST in seen:
                first = time.perf_counter() - started
    assert first, seen
    return first * 1000, (time.perf_counter() - started) * 1000


def medians(ask: Callable[[], tuple[float, float]]) -> tuple[float, float]:
    """Return the medians of both times over all runs, each after a pause."""
    found = []
    for _ in range(RUNS):
        time.sleep(PAUSE)
        found.append(ask())
    return statistics.median(first for first, _ in found), statistics.median(whole for _, whole in found)


def turns(count: int) -> dict[str, Any]:
    """Return the body of a message after so many earlier turns."""
    earlier = [{"role": ("user", "assistant")[number % 2], "content": f"turn {number}"} for number in range(count)]
    return {**BODIES["/v1/messages"], "messages": [*earlier, *MESSAGES]}


def rows(gateway: httpx.Client, direct: httpx.Client) -> list[Figure]:
    """Compare each API with the model itself, and a long conversation with a short one."""

    def median(client: httpx.Client, path: str, body: dict[str, Any]) -> tuple[float, float]:
        return medians(lambda: first_and_whole(client, path, body))

    message = "/v1/messages"
    begins, ends = median(direct, message, BODIES[message])
    figures = []
    for path, body in BODIES.items():
        first, whole = median(gateway, path, body)
        against = f"the model directly, {begins:.0f} ms"
        figures.append(Figure(f"first token added, {path}", against, first - begins, unit="ms"))
        against = f"the model directly, {ends:.0f} ms"
        figures.append(Figure(f"whole answer added, {path}", against, whole - ends, unit="ms"))
    short, long = (median(gateway, message, turns(count))[1] for count in (0, 200))
    detail = f"{long:.0f} ms, {short:.0f} ms"
    figures.append(Figure("answer after 200 earlier turns", "after none", long / short, "≤", 2, detail=detail))
    return figures


def calls_per_second(client: httpx.Client) -> Figure:
    """Return how many calls are answered a second when more wait than there are slots."""

    def call(_: int) -> None:
        client.post("/v1/messages", json=BODIES["/v1/messages"]).raise_for_status()

    started = time.perf_counter()
    with ThreadPoolExecutor(SLOTS * 2) as pool:
        list(pool.map(call, range(CALLS)))
    rate = CALLS / (time.perf_counter() - started)
    return Figure(f"synchronous calls per second, {SLOTS} slots", "", rate, unit="/s")


def measure() -> list[Figure]:
    """Measure against a gateway of its own."""
    with tempfile.TemporaryDirectory() as name, ScriptedModel() as model:
        model.reply = lambda _: Text("ok", delay_before=THINKS)
        variables = {
            "ANTHROPIC_BASE_URL": model.url,
            "ANTHROPIC_API_KEY": "k",
            "QUEUE_CONCURRENCY": str(SLOTS),
            "CLAUDE_MODEL": "m",
        }
        with Gateway(Path(name), **variables) as gateway, httpx.Client(base_url=model.url, trust_env=False) as direct:
            figures = rows(gateway.client, direct)
            model.reply = lambda _: Text("ok")
            return [*figures, calls_per_second(gateway.client)]
