"""Measure the dashboard's list of jobs, and one step of its search, with 100,000 jobs."""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import uvloop
from pydantic import SecretStr

from functions.admin import finding
from local.embedded_redis import find_server
from shared.api.ids import new_id
from shared.configuration.settings import AdminSettings
from shared.store.jobs import submissions
from shared.store.jobs.finding import EXAMINED
from shared.store.redis.client import async_client, close_clients
from tests.benchmarks.figures import Figure
from tests.support.redis_server import RedisServer

JOBS, ROUNDS, MOST_MS = 100_000, 60, 60
REQUEST = '{"query":"What do the customers of the last quarter ask for?","tools":[]}'


async def fill(url: str) -> None:
    """Submit the jobs, using the store's function directly."""

    async def some(count: int) -> None:
        for number in range(count):
            metadata = f'{{"team":"{number % 10}"}}'
            job = submissions.Submission(new_id(), new_id(), "other", 1, 1000, REQUEST, metadata)
            await submissions.submit(async_client(url), job)

    await asyncio.gather(*(some(JOBS // 32) for _ in range(32)))


async def times(url: str) -> dict[str, float]:
    """Return the median ms of a page of each kind."""
    settings = AdminSettings(redis_url=SecretStr(url))
    filters = {
        "dashboard's list of jobs": finding.JobFilter(),
        "dashboard's list of jobs of a caller": finding.JobFilter(caller="other"),
        "one step of a search by metadata": finding.JobFilter(metadata=["team=x"]),
        "one step of a search by any id": finding.JobFilter(id=new_id()),
    }
    found: dict[str, list[float]] = {name: [] for name in filters}
    for _ in range(ROUNDS):
        for name, wanted in filters.items():
            started = time.perf_counter()
            await finding.page(wanted, 50, None, settings)
            found[name].append((time.perf_counter() - started) * 1000)
    return {name: statistics.median(taken) for name, taken in found.items()}


async def _measure(url: str) -> dict[str, float]:
    await fill(url)
    try:
        return await times(url)
    finally:
        await close_clients()


def measure() -> list[Figure]:
    """Measure on a new store."""
    with tempfile.TemporaryDirectory() as folder, RedisServer(find_server(), Path(folder)) as server:
        found = uvloop.run(_measure(server.url))
    detail = f"a step examines {EXAMINED:,} jobs"
    return [
        Figure(name, f"{JOBS:,} jobs", taken, "≤", MOST_MS, "ms", detail if "step" in name else "")
        for name, taken in found.items()
    ]
