"""Measure what idle schedules cost: bytes in Redis, and the commands of a worker's scheduler."""

import asyncio
import tempfile
import threading
import time
from pathlib import Path

import redis.asyncio
from pydantic import SecretStr

from functions.worker.jobs.scheduler import look, look_until
from local.embedded_redis import find_server
from shared.api.ids import new_id
from shared.api.schedules import ScheduleRequest
from shared.configuration.settings import SubmitSettings
from shared.services import schedules
from shared.store import keys
from shared.store.redis.client import close_clients
from tests.benchmarks.figures import Figure
from tests.support.redis_server import RedisServer

SCHEDULES, SECONDS = 10_000, 10
QUERY = "q" * 200


async def _measure(url: str) -> tuple[float, float, float]:
    settings = SubmitSettings(redis_url=SecretStr(url))
    body = {"name": "nightly", "cron": "30 2 29 2 *", "timezone": "Europe/Berlin", "query": {"query": QUERY}}
    request = ScheduleRequest.model_validate(body)
    async with redis.asyncio.Redis.from_url(url) as client:

        async def create(count: int) -> None:
            for _ in range(count):
                await schedules.create(
                    request, request_id=new_id(), caller=keys.ANONYMOUS, idempotency_key=None, settings=settings
                )

        await create(1)
        before = (await client.info("memory"))["used_memory"]
        await create(SCHEDULES)
        held = ((await client.info("memory"))["used_memory"] - before) / SCHEDULES
        await look(settings)
        began = time.perf_counter()
        for _ in range(100):
            await look(settings)
        took = (time.perf_counter() - began) / 100
        stop = threading.Event()
        looking = asyncio.create_task(look_until(stop, settings))
        counted = (await client.info("stats"))["total_commands_processed"]
        await asyncio.sleep(SECONDS)
        counted = (await client.info("stats"))["total_commands_processed"] - counted - 1
        stop.set()
        await looking
    return held, took, counted / SECONDS


def measure() -> list[Figure]:
    """Measure all three."""
    with tempfile.TemporaryDirectory() as name, RedisServer(find_server(), Path(name)) as server:

        async def work() -> tuple[float, float, float]:
            try:
                return await _measure(server.url)
            finally:
                await close_clients()

        held, took, commands = asyncio.run(work())
    return [
        Figure("bytes in Redis of an idle schedule", f"{SCHEDULES} with queries of {len(QUERY)} bytes", held, unit="B"),
        Figure("one look for due schedules", f"{SCHEDULES} idle ones", took * 1000, unit="ms"),
        Figure("commands a second of a worker's scheduler", f"{SCHEDULES} idle schedules", commands, unit=""),
    ]
