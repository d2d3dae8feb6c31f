"""Measure what idle schedules cost, in Redis and in commands of a worker, and how late due times are carried out."""

import asyncio
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

import redis
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
from tests.support.deployment import Deployment
from tests.support.redis_server import RedisServer

SCHEDULES, SECONDS = 10_000, 10
QUERY = "q" * 200
# Schedules that are due at one moment, and as many within so many seconds.
DUE, SPREAD = 500, 10


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


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def _late(deployment: Deployment, store: redis.Redis, spread: int) -> float:
    """Let schedules become due within so many ms, two seconds from now; return the greatest delay in ms."""
    body = {"name": "late", "cron": "@yearly", "query": {"query": QUERY}}
    made = [deployment.client.post("/api/schedules", json=body).json()["scheduleId"] for _ in range(DUE)]
    begin = int(time.time() * 1000) + 2000
    with store.pipeline() as pipeline:
        for number, schedule in enumerate(made):
            due = begin + spread * number // DUE
            pipeline.hset(f"cg:schedule:{schedule}", "next", due)
            pipeline.zadd("cg:schedules:due", {schedule: due})
        pipeline.execute()
    waiting = store.zcard(keys.WAITING)
    deployment.until(lambda: store.zcard(keys.WAITING), lambda count: count >= waiting + DUE, timeout=60)
    runs = [run for one in made for run in deployment.client.get(f"/api/schedules/{one}").json()["runs"]]
    return max(_ms(run["at"]) - _ms(run["dueAt"]) for run in runs)


def _lateness() -> tuple[float, float]:
    """Return the greatest delay of due times with one live worker: all at once, and one after another."""
    with (
        tempfile.TemporaryDirectory() as name,
        Deployment(Path(name), "http://127.0.0.1:9") as deployment,
        redis.Redis(port=deployment.redis.port) as store,
    ):
        store.set(keys.PAUSED, 1)  # the jobs are counted, and do not run
        deployment.start_worker()
        deployment.wait_for_slots(1)
        return _late(deployment, store, 0), _late(deployment, store, SPREAD * 1000)


def measure() -> list[Figure]:
    """Measure all of them."""
    with tempfile.TemporaryDirectory() as name, RedisServer(find_server(), Path(name)) as server:

        async def work() -> tuple[float, float, float]:
            try:
                return await _measure(server.url)
            finally:
                await close_clients()

        held, took, commands = asyncio.run(work())
    at_once, spread = _lateness()
    return [
        Figure("bytes in Redis of an idle schedule", f"{SCHEDULES} with queries of {len(QUERY)} bytes", held, unit="B"),
        Figure("one look for due schedules", f"{SCHEDULES} idle ones", took * 1000, unit="ms"),
        Figure("commands a second of a worker's scheduler", f"{SCHEDULES} idle schedules", commands, unit=""),
        Figure(
            "greatest delay of a due time", f"{DUE} at one moment, one worker", at_once, sign="≤", goal=2000, unit="ms"
        ),
        Figure(
            "greatest delay of a due time",
            f"{DUE} within {SPREAD} s, one worker",
            spread,
            sign="≤",
            goal=2000,
            unit="ms",
        ),
    ]
