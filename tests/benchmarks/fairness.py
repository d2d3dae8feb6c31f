"""Measure fair share: what a deep queue of few or many callers costs, and how long a caller waits behind a backlog."""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import redis
import redis.asyncio
import uvloop

from local.embedded_redis import find_server
from shared.api.ids import new_id
from shared.store.jobs import queue, records, submissions
from shared.store.redis.client import async_client, close_clients, sync_client
from tests.benchmarks.figures import Figure
from tests.support.redis_server import RedisServer

DEPTH, ROUNDS, CALLERS = 50_000, 300, (1, 10, 1000)
# The backlog, the slots, and the jobs that end between two submissions of the other caller.
BACKLOG, SLOTS, BETWEEN = 5_000, 5, 10
# Submissions at once while a queue is filled.
_AT_ONCE = 64


async def submit(client: redis.asyncio.Redis, caller: str) -> str:
    """Submit a job with the store's function; return its id."""
    job = submissions.Submission(new_id(), new_id(), caller, 1, 1000, "{}")
    await submissions.submit(client, job)
    return job.job_id


async def fill(client: redis.asyncio.Redis, callers: int, depth: int) -> None:
    """Let each of so many callers submit its part of the depth."""

    async def some(first: int) -> None:
        for number in range(first, depth, _AT_ONCE):
            await submit(client, f"caller {number % callers}")

    await asyncio.gather(*(some(first) for first in range(_AT_ONCE)))


async def costs(client: redis.asyncio.Redis, slot: redis.Redis) -> dict[str, float]:
    """Return the median ms of a submission, a read of the job's place, and a pop."""
    times: dict[str, list[float]] = {"submit": [], "position": [], "pop": []}
    for number in range(ROUNDS):
        started = time.perf_counter()
        job_id = await submit(client, f"caller {number % 7}")
        submitted = time.perf_counter()
        await records.read(client, job_id, None)
        read = time.perf_counter()
        queue.pop(slot)
        times["submit"].append(submitted - started)
        times["position"].append(read - submitted)
        times["pop"].append(time.perf_counter() - read)
    return {name: statistics.median(seconds) * 1000 for name, seconds in times.items()}


async def behind_a_backlog(client: redis.asyncio.Redis, slot: redis.Redis) -> list[int]:
    """Return how many jobs ended between each submission of a caller and its start, while another has a backlog."""
    await fill(client, 1, BACKLOG)
    waits, sent, ended = [], {}, 0
    for _ in range(SLOTS):
        queue.pop(slot)
    for _ in range(100):
        sent[await submit(client, "the other")] = ended
        for _ in range(BETWEEN):
            ended += 1
            claim = queue.pop(slot)
            if claim is not None and claim.job_id in sent:
                waits.append(ended - sent[claim.job_id])
    return waits


async def run(url: str) -> tuple[dict[int, dict[str, float]], list[int]]:
    """Measure each number of callers on an empty store."""
    found = {}
    client = async_client(url)
    # The time of the scripts, without that of the disk.
    await client.config_set("appendfsync", "no")
    with sync_client(url) as slot:
        for callers in (0, *CALLERS):
            await client.flushall()
            if callers:
                await fill(client, callers, DEPTH)
            found[callers] = await costs(client, slot)
        await client.flushall()
        waits = await behind_a_backlog(client, slot)
    await close_clients()
    return found, waits


def measure() -> list[Figure]:
    """Measure on one new store."""
    with tempfile.TemporaryDirectory() as folder, RedisServer(find_server(), Path(folder)) as server:
        found, waits = uvloop.run(run(server.url))
    empty = found.pop(0)
    return [
        *(
            Figure(f"{name}, {DEPTH:,} waiting of {callers:,}", "none waiting", taken / empty[name],
                   detail=f"{taken:.2f} ms, {empty[name]:.2f} ms")
            for callers, figures in found.items()
            for name, taken in figures.items()
        ),
        Figure(f"wait behind {BACKLOG:,} jobs of another, in jobs that end", "in the order of arrival",
               max(waits) / BACKLOG, "≤", 0.01, detail=f"at most {max(waits)}, {BACKLOG:,}"),
    ]  # fmt: skip
