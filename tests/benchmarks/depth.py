"""Measure the API's calls and the dashboard's first page, with and without 50,000 waiting jobs."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvloop
from pydantic import SecretStr

from functions.admin import service as admin
from functions.status import service as status
from local.embedded_redis import find_server
from shared.api.ids import new_id
from shared.api.requests import SubmitRequest
from shared.configuration.settings import AdminSettings, StatusSettings, SubmitSettings
from shared.services import submitting as submit
from shared.store.jobs import submissions
from shared.store.redis.client import async_client, close_clients
from tests.benchmarks import servers
from tests.benchmarks.api import CONNECTIONS, in_turn, ratio
from tests.benchmarks.figures import Figure
from tests.benchmarks.load import get, rate
from tests.support.redis_server import RedisServer
from tests.support.submitting import submit_all

DEPTH, ROUNDS = 50_000, 120
CALLS = ("submit", "status", "list", "dashboard", "cancel")


async def fill(url: str) -> None:
    """Fill the queue with jobs of another caller, using the store's function directly."""
    client = async_client(url)

    async def some(count: int) -> None:
        for _ in range(count):
            job = submissions.Submission(new_id(), new_id(), "other", 1, 1000, "{}")
            await submissions.submit(client, job)

    await asyncio.gather(*(some(DEPTH // 32) for _ in range(32)))
    await close_clients()


async def dashboard(settings: AdminSettings) -> None:
    """Send the requests of the dashboard's first two pages."""
    await admin.stats(settings)
    await admin.job_page(None, 50, None, None, settings)


async def one_round(url: str, number: int, times: dict[str, list[float]]) -> None:
    """Make each call once on one store, and record the time in seconds."""
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
    await timed("list", status.job_page(None, None, 20, None, caller="me", settings=asking))
    await timed("dashboard", dashboard(AdminSettings(redis_url=SecretStr(url))))
    await timed("cancel", submit.cancel(job_id, caller="me", settings=submitting))


async def calls(empty: str, full: str) -> dict[str, tuple[float, float]]:
    """Return the median ms of each call with the jobs, and without."""
    times: dict[str, dict[str, list[float]]] = {url: {name: [] for name in CALLS} for url in (empty, full)}
    for number in range(ROUNDS):
        for url in (empty, full) if number % 2 else (full, empty):
            await one_round(url, number, times[url])
    await close_clients()
    full_ms, empty_ms = ({name: statistics.median(times[url][name]) * 1000 for name in CALLS} for url in (full, empty))
    return {name: (full_ms[name], empty_ms[name]) for name in CALLS}


async def reads(ports: dict[str, int], jobs: dict[str, str]) -> dict[str, list[float]]:
    """Return the status reads per second of each server, for a waiting job."""

    def way(name: str) -> Any:
        request = get(f"/api/query/{jobs[name]}")
        return lambda seconds: rate(ports[name], lambda _: request, 200, connections=CONNECTIONS, seconds=seconds)

    return await in_turn({name: way(name) for name in ports})


def measure() -> list[Figure]:
    """Measure on two new stores."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stores, ports, jobs = {}, {}, {}
        for name in ("empty", "full"):
            place = Path(folder) / name
            (place / "redis").mkdir(parents=True)
            stores[name] = stack.enter_context(RedisServer(find_server(), place / "redis")).url
            if name == "full":
                uvloop.run(fill(stores[name]))
            settings = SubmitSettings(redis_url=SecretStr(stores[name]), max_queue_depth=10**6)
            [jobs[name]] = asyncio.run(submit_all(settings, [SubmitRequest(query="the last")]))
            ports[name], _ = stack.enter_context(servers.gateway(place, stores[name]))
        seen = uvloop.run(reads(ports, jobs))
        taken = asyncio.run(calls(stores["empty"], stores["full"]))
    a_second = {name: f"{statistics.median(rates):.0f}/s" for name, rates in seen.items()}
    return [
        Figure(f"status reads per second, {DEPTH:,} waiting", "none waiting", ratio(seen, "full", "empty"), "≥", 0.95,
               detail=f"{a_second['full']}, {a_second['empty']}"),
        *(
            Figure(f"{name}, {DEPTH:,} waiting", "none waiting", with_them / without,
                   detail=f"{with_them:.2f} ms, {without:.2f} ms")
            for name, (with_them, without) in taken.items()
        ),
    ]  # fmt: skip
