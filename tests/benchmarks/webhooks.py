"""What a dead webhook host costs a living one: 500 events each, side by side, against the living one alone."""

import asyncio
import json
import platform
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
from tests.support.receiver import Receiver
from tests.support.redis_server import RedisServer
from tests.support.slot import run

EVENTS, ROUNDS = 500, 5


async def _fill(url: str, hook: str) -> None:
    client = async_client(url)
    host = hook.removeprefix("http://")
    for _ in range(EVENTS):
        await submissions.submit(
            client, submissions.Submission(new_id(), new_id(), "me", 1, 1000, "{}", hook=hook, host=host)
        )
        await run(url)


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


async def compare(url: str) -> None:
    """Print the table."""
    alone, beside = [], []
    for _ in range(ROUNDS):
        alone.append(await _arrive(url, beside_dead=False))
        beside.append(await _arrive(url, beside_dead=True))
    await close_clients()
    with_dead, without = statistics.median(beside), statistics.median(alone)
    ratio = round(with_dead / without, 2)
    print(f"\n{EVENTS} webhooks to a living host beside {EVENTS} to a dead one, medians of {ROUNDS}")
    print(f"  last arrives after {with_dead:.2f} s, alone {without:.2f} s   ratio {ratio}")
    print(json.dumps({"machine": platform.node(), "webhooks_beside_dead_host": ratio}))


def main() -> None:
    """Measure on a store of its own."""
    with tempfile.TemporaryDirectory() as folder, RedisServer(find_server(), Path(folder)) as server:
        asyncio.run(compare(server.url))


if __name__ == "__main__":
    main()
