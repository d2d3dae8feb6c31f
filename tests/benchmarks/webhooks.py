"""What a dead webhook host costs a living one: 500 events each, side by side, against the living one alone."""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from pydantic import SecretStr

from functions.worker.deliver import Deliverer
from local.embedded_redis import find_server
from shared.ids import new_id
from shared.settings import WorkerSettings
from shared.store import submissions
from shared.store.client import async_client, close_clients
from tests.benchmarks.figures import Figure
from tests.support.receiver import Receiver
from tests.support.redis_server import RedisServer
from tests.support.slot import run

EVENTS, ROUNDS = 500, 2


async def _fill(url: str, hook: str) -> None:
    client = async_client(url)
    host = hook.removeprefix("http://")

    async def one() -> None:
        job = submissions.Submission(new_id(), new_id(), "me", 1, 1000, "{}", hook=hook, host=host)
        await submissions.submit(client, job)
        await run(url)

    await asyncio.gather(*(one() for _ in range(EVENTS)))


async def _arrive(url: str, *, beside_dead: bool) -> float:
    """Return the s until the last event of the living host has arrived."""
    client = async_client(url)
    await client.flushall()
    last = asyncio.Event()
    loop = asyncio.get_running_loop()
    with Receiver() as living, Receiver(lambda hook: "hang") as dead:

        def reply(_hook: object) -> tuple[int, dict[str, str]]:
            if len(living.hooks) == EVENTS:
                loop.call_soon_threadsafe(last.set)
            return 204, {}

        living.reply = reply
        if beside_dead:
            await _fill(url, dead.url)  # due before those of the living one
        await _fill(url, living.url)
        stop = asyncio.Event()
        settings = WorkerSettings(redis_url=SecretStr(url), webhook_allowed_networks="127.0.0.0/8")
        started = time.perf_counter()
        running = asyncio.create_task(Deliverer(client, settings).run(stop, 0))
        await last.wait()
        seconds = time.perf_counter() - started
        stop.set()
        dead.closing.set()
        await running
    return seconds


async def _compare(url: str) -> tuple[list[float], list[float]]:
    alone, beside = [], []
    for _ in range(ROUNDS):
        alone.append(await _arrive(url, beside_dead=False))
        beside.append(await _arrive(url, beside_dead=True))
    await close_clients()
    return alone, beside


def measure() -> list[Figure]:
    """Measure on a store of its own."""
    with tempfile.TemporaryDirectory() as folder, RedisServer(find_server(), Path(folder)) as server:
        without, with_dead = (statistics.median(taken) for taken in asyncio.run(_compare(server.url)))
    return [
        Figure(f"{EVENTS} webhooks beside {EVENTS} to a dead host", "alone", with_dead / without,
               detail=f"{with_dead:.2f} s, {without:.2f} s")
    ]  # fmt: skip
