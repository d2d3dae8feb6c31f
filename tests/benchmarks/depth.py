"""What 100,000 waiting jobs cost: each call, and the dashboard's first page, with them and without, in one run."""

import asyncio
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from functions.admin import service as admin
from functions.status import service as status
from functions.submit import service as submit
from local.embedded_redis import find_server
from shared.ids import new_id
from shared.requests import SubmitRequest
from shared.settings import AdminSettings, StatusSettings, SubmitSettings
from shared.store import submissions
from shared.store.client import async_client, close_clients
from tests.support.redis_server import RedisServer

DEPTH, ROUNDS = 100_000, 400
CALLS = ("submit", "status", "list", "dashboard", "cancel")


async def fill(url: str) -> None:
    """Let jobs of another caller wait, put there by the script itself."""
    client = async_client(url)

    async def some(count: int) -> None:
        for _ in range(count):
            job = submissions.Submission(new_id(), new_id(), "other", 1, 1000, "{}", max_waiting=10**9)
            await submissions.submit(client, job)

    await asyncio.gather(*(some(DEPTH // 32) for _ in range(32)))


async def dashboard(settings: AdminSettings) -> None:
    """Ask what the dashboard's first two pages ask."""
    await admin.stats(settings)
    await admin.job_page(None, 50, None, None, settings)


async def one_round(url: str, number: int, times: dict[str, list[float]]) -> None:
    """Do each call once on one store, and note its seconds."""
    submitting = SubmitSettings(redis_url=SecretStr(url), max_queue_depth=10**6)
    asking = StatusSettings(redis_url=SecretStr(url))

    async def timed(name: str, call: Awaitable[Any]) -> Any:
        started = time.perf_counter()
        answer = await call
        times[name].append(time.perf_counter() - started)
        return answer

    request = SubmitRequest(query=f"{time.monotonic_ns()}", priority=("high", "normal", "low")[number % 3])
    new = submit.submit(request, request_id=new_id(), caller="me", idempotency_key=None, settings=submitting)
    job_id = (await timed("submit", new)).answer.job_id
    await timed("status", status.job_status(job_id, 0, caller="me", settings=asking))
    await timed("list", status.job_page(None, 20, None, caller="me", settings=asking))
    await timed("dashboard", dashboard(AdminSettings(redis_url=SecretStr(url))))
    await timed("cancel", submit.cancel(job_id, caller="me", settings=submitting))


async def compare(empty: str, full: str) -> None:
    """Print the table."""
    await fill(full)
    times: dict[str, dict[str, list[float]]] = {url: {name: [] for name in CALLS} for url in (empty, full)}
    for number in range(ROUNDS):
        for url in (empty, full) if number % 2 else (full, empty):
            await one_round(url, number, times[url])
    await close_clients()
    medians = {url: {name: statistics.median(times[url][name]) * 1000 for name in CALLS} for url in times}
    ratios = {name: round(medians[full][name] / medians[empty][name], 2) for name in CALLS}
    print(f"\nwith {DEPTH:,} waiting against none, medians of {ROUNDS} calls each")
    for name in CALLS:
        print(f"  {name:<10}{medians[full][name]:6.2f} ms {medians[empty][name]:6.2f} ms   ratio {ratios[name]}")
    print(json.dumps({"machine": platform.node(), "waiting": DEPTH, "ratios": ratios}))


def main() -> None:
    """Measure on two stores of its own."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        server = find_server()
        with RedisServer(server, Path(one)) as empty, RedisServer(server, Path(two)) as full:
            asyncio.run(compare(empty.url, full.url))


if __name__ == "__main__":
    main()
