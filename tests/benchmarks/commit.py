"""Measure the time from the commit of a job's end to the answer that waits for it."""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import httpx
from redis.asyncio import Redis

from local.embedded_redis import find_server
from shared.store.jobs import claims
from shared.store.redis.client import async_client, close_clients
from tests.benchmarks.figures import Figure
from tests.benchmarks.servers import gateway
from tests.support.redis_server import RedisServer
from tests.support.slot import RESULT, take

RUNS = 60


async def _subscribed(client: Redis, job: str) -> None:
    """Wait until the API waits for the end of a job."""
    while not await client.pubsub_channels(f"*{job}*"):  # noqa: ASYNC110 -- Redis announces no subscription
        await asyncio.sleep(0.002)
    await asyncio.sleep(0.02)  # The API reads the job once more.


async def _ms(url: str, port: int, *, prefer: bool) -> list[float]:
    client = async_client(url)
    took = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as http:
        for number in range(RUNS):
            headers = {"prefer": "wait=20"} if prefer else {}
            asking = asyncio.create_task(http.post("/api/query", json={"query": f"{prefer} {number}"}, headers=headers))
            if not prefer:
                job = (await asking).json()["jobId"]
                asking = asyncio.create_task(http.get(f"/api/query/{job}", params={"wait": 20}))
            else:
                while not await client.zcard("cg:waiting"):  # noqa: ASYNC110 -- the submission arrives at some time
                    await asyncio.sleep(0.002)
            claim = await take(url)
            await _subscribed(client, claim.job_id)
            settlement = claims.finish(claim, "completed", {"result": RESULT}, keep_for=60)
            assert await claims.settle(client, settlement) == "settled"
            committed = time.perf_counter()
            answer = (await asking).json()
            took.append((time.perf_counter() - committed) * 1000)
            assert answer["state"] == "completed", answer
    return took


async def _both(url: str, port: int) -> dict[str, list[float]]:
    try:
        return {name: await _ms(url, port, prefer=name != "?wait") for name in ("Prefer: wait", "?wait")}
    finally:
        await close_clients()


def measure() -> list[Figure]:
    """Settle jobs as a slot does while a client waits for each."""
    found = find_server()
    assert found is not None
    with tempfile.TemporaryDirectory() as name, RedisServer(found, Path(name)) as server:
        (Path(name) / "api").mkdir()
        with gateway(Path(name) / "api", server.url, AUTH_ENABLED="false") as (port, _):
            took = asyncio.run(_both(server.url, port))
    return [
        Figure(f"from a job's commit to the answer, {name}", "", statistics.median(all_), "≤", 3, "ms",
               detail=f"least {min(all_):.2f} ms, 90 % within {sorted(all_)[len(all_) * 9 // 10]:.2f} ms")
        for name, all_ in took.items()
    ]  # fmt: skip
