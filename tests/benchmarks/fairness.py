"""Measure fair share: what a deep queue of callers costs, a caller's wait behind a backlog, and shares by weight."""

import asyncio
import statistics
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import redis
import redis.asyncio
import uvloop

from local.embedded_redis import find_server
from shared.api.ids import new_id
from shared.api.policies import Policy
from shared.store.callers import callers
from shared.store.jobs import queue, records, submissions
from shared.store.redis.client import async_client, close_clients, sync_client
from tests.benchmarks.figures import Figure
from tests.support.redis_server import RedisServer

DEPTH, ROUNDS, CALLERS = 50_000, 300, (1, 10, 1000)
# The backlog, the slots, and the jobs that end between two submissions of the other caller.
BACKLOG, SLOTS, BETWEEN = 5_000, 5, 10
# Callers whose weights differ, and the jobs that they share.
CALLERS_OF_WEIGHTS, SHARED = 10, 1000
# Submissions at once while a queue is filled.
_AT_ONCE = 64


async def submit(client: redis.asyncio.Redis, caller: str) -> str:
    """Submit a job with the store's function; return its id."""
    job = submissions.Submission(new_id(), new_id(), caller, 1, 1000, "{}")
    await submissions.submit(client, job)
    return job.job_id


async def fill(client: redis.asyncio.Redis, of: int, depth: int) -> None:
    """Let each of so many callers submit its part of the depth."""

    async def some(first: int) -> None:
        for number in range(first, depth, _AT_ONCE):
            await submit(client, f"caller {number % of}")

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


async def behind_a_backlog(client: redis.asyncio.Redis, slot: redis.Redis, caller: str, jobs: int) -> list[float]:
    """Return how long each of a caller's jobs waits behind the backlog of `caller 0`, in lengths of a job.

    A job is submitted whenever `BETWEEN` jobs have ended, as one each second where a job takes half of one. With all
    slots busy, `SLOTS` jobs end in the length of one.
    """
    await client.flushall()
    await fill(client, 1, BACKLOG)
    waits: list[float] = []
    sent: dict[str, int] = {}
    ended = 0
    for _ in range(SLOTS):
        queue.pop(slot)
    while len(waits) < jobs:
        if ended % BETWEEN == 0 and len(sent) < jobs:
            sent[await submit(client, caller)] = ended
        ended += 1
        claim = queue.pop(slot)
        if claim is not None and claim.job_id in sent:
            waits.append((ended - sent[claim.job_id]) / SLOTS)
    return waits


async def shares(client: redis.asyncio.Redis, slot: redis.Redis) -> dict[float, list[int]]:
    """Return how many of the first `SHARED` jobs belong to each caller, by weight; all have enough waiting."""
    await client.flushall()
    weights = {}
    for number in range(CALLERS_OF_WEIGHTS):
        weight = 1 + number % 4
        new = await callers.create(client, f"caller {number}", policy=Policy.model_validate({"weight": weight}))
        weights[new.id] = weight
    for _ in range(SHARED // 5):
        await asyncio.gather(*(submit(client, caller) for caller in weights))
    claims = [claim for _ in range(SHARED) if (claim := queue.pop(slot)) is not None]
    jobs = [await records.read(client, claim.job_id, None) for claim in claims]
    taken = Counter(job.record["caller"] for job in jobs if job is not None)
    return {weight: [taken[caller] for caller, own in weights.items() if own == weight] for weight in (1, 2, 3, 4)}


@dataclass(frozen=True)
class Measured:
    """What one run on one store has measured; waits in lengths of a job."""

    costs: dict[int, dict[str, float]]
    waits: list[float]
    by_arrival: float
    shares: dict[float, list[int]]


async def run(url: str) -> Measured:
    """Measure each number of callers on an empty store."""
    found = {}
    client = async_client(url)
    # The time of the scripts, without that of the disk and of the process that rewrites the append-only file.
    await client.config_set("appendonly", "no")
    with sync_client(url) as slot:
        for number in (0, *CALLERS):
            await client.flushall()
            if number:
                await fill(client, number, DEPTH)
            found[number] = await costs(client, slot)
        waits = await behind_a_backlog(client, slot, "the other", 100)
        # One caller's jobs start in the order of their arrival.
        [by_arrival] = await behind_a_backlog(client, slot, "caller 0", 1)
        shared = await shares(client, slot)
    await close_clients()
    return Measured(found, waits, by_arrival, shared)


def measure() -> list[Figure]:
    """Measure on one new store."""
    with tempfile.TemporaryDirectory() as folder, RedisServer(find_server(), Path(folder)) as server:
        found = uvloop.run(run(server.url))
    empty = found.costs.pop(0)
    total = sum(weight * len(taken) for weight, taken in found.shares.items())
    expected = {weight: SHARED * weight / total for weight in found.shares}
    most_off = max(abs(one / expected[weight] - 1) for weight, taken in found.shares.items() for one in taken)
    detail = ", ".join(
        f"weight {weight:g}: {taken} of {expected[weight]:.1f}" for weight, taken in found.shares.items()
    )
    return [
        *(
            Figure(f"{name}, {DEPTH:,} waiting of {number:,}", "none waiting", taken / empty[name],
                   detail=f"{taken:.2f} ms, {empty[name]:.2f} ms")
            for number, figures in found.costs.items()
            for name, taken in figures.items()
        ),
        Figure(f"wait behind {BACKLOG:,} jobs of another, in lengths of a job", "in the order of arrival",
               max(found.waits) / found.by_arrival, "≤", 0.01,
               detail=f"at most {max(found.waits):g}, {found.by_arrival:g}; {SLOTS} slots"),
        Figure(f"shares of {SHARED:,} jobs of {CALLERS_OF_WEIGHTS} callers with weights 1 to 4", "their weights",
               1 + most_off, "≤", 1.05, detail=detail),
    ]  # fmt: skip
