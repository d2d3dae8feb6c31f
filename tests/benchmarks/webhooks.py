"""Measure the effect of dead webhook hosts on a living one.

500 events of one caller; and 500 of one caller with those of another caller to 1,000 hosts that never respond.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from functions.worker.webhooks.dispatcher import Dispatcher
from local.embedded_redis import find_server
from shared.api.ids import new_id
from shared.configuration.settings import WorkerSettings
from shared.store.jobs import submissions
from shared.store.redis.client import async_client, close_clients
from tests.benchmarks.figures import Figure
from tests.support.receiver import Receiver
from tests.support.redis_server import RedisServer
from tests.support.slot import run

EVENTS, TARPITS, ROUNDS = 500, 1000, 2


async def _fill(url: str, hooks: list[str], caller: str = "me") -> None:
    client = async_client(url)

    async def one(hook: str) -> None:
        host = hook.removeprefix("http://")
        job = submissions.Submission(new_id(), new_id(), caller, 1, 1000, "{}", webhook_url=hook, webhook_host=host)
        await submissions.submit(client, job)
        await run(url)

    await asyncio.gather(*(one(hook) for hook in hooks))


async def _arrive(url: str, beside: Literal["", "dead host", "tarpits"]) -> float:
    """Return the seconds until the last event has arrived at the live host. The other events are due earlier."""
    client = async_client(url)
    await client.flushall()
    last = asyncio.Event()
    loop = asyncio.get_running_loop()
    with Receiver() as living, Receiver(lambda hook: "hang", address="") as dead:

        def reply(_hook: object) -> tuple[int, dict[str, str]]:
            if len(living.hooks) == EVENTS:
                loop.call_soon_threadsafe(last.set)
            return 204, {}

        living.reply = reply
        if beside == "dead host":
            await _fill(url, [dead.url] * EVENTS)
        if beside == "tarpits":
            # Every loopback address counts as a separate host.
            hosts = [f"http://127.1.{number // 250}.{number % 250 + 1}:{dead.port}" for number in range(TARPITS)]
            await _fill(url, hosts, "another")
        await _fill(url, [living.url] * EVENTS)
        stop = asyncio.Event()
        settings = WorkerSettings(redis_url=SecretStr(url), webhook_allowed_networks="127.0.0.0/8")
        started = time.perf_counter()
        running = asyncio.create_task(Dispatcher(client, settings).run(stop, 0))
        await last.wait()
        seconds = time.perf_counter() - started
        stop.set()
        dead.closing.set()
        await running
    return seconds


async def _compare(url: str) -> list[list[float]]:
    taken: list[list[float]] = [[], [], []]
    for _ in range(ROUNDS):
        taken[0].append(await _arrive(url, ""))
        taken[1].append(await _arrive(url, "dead host"))
        taken[2].append(await _arrive(url, "tarpits"))
    await close_clients()
    return taken


def measure() -> list[Figure]:
    """Measure on a new store."""
    with tempfile.TemporaryDirectory() as folder, RedisServer(find_server(), Path(folder)) as server:
        without, with_dead, with_tarpits = (statistics.median(taken) for taken in asyncio.run(_compare(server.url)))
    return [
        Figure(f"{EVENTS} webhooks with {EVENTS} to a dead host", "alone", with_dead / without,
               detail=f"{with_dead:.2f} s, {without:.2f} s"),
        Figure(f"{EVENTS} webhooks with another caller's {TARPITS} tarpits", "alone", with_tarpits / without,
               detail=f"{with_tarpits:.2f} s, {without:.2f} s"),
    ]  # fmt: skip
