"""Measure the time from the commit of a job's end to the answer that waits for it."""

import asyncio
import json
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from local.embedded_redis import find_server
from shared.store.jobs import claims
from shared.store.redis.client import async_client, close_clients
from tests.benchmarks.figures import Figure
from tests.benchmarks.load import get, post
from tests.benchmarks.servers import gateway
from tests.support.redis_server import RedisServer
from tests.support.slot import RESULT, take

RUNS = 60


async def _subscribed(client: Redis, job: str) -> None:
    """Wait until the API waits for the end of a job."""
    while not await client.pubsub_channels(f"*{job}*"):  # noqa: ASYNC110 -- Redis announces no subscription
        await asyncio.sleep(0.002)
    await asyncio.sleep(0.02)  # The API reads the job once more.


class _Client:
    """One connection to the API: a client's own work is not part of what is measured."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, request: bytes) -> tuple[dict[str, Any], float]:
        """Return the body of the answer, and the time at which it was here."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: *([0-9]+)", head, re.IGNORECASE)
        assert length is not None, head
        body = await self._reader.readexactly(int(length[1]))
        arrived = time.perf_counter()
        return json.loads(body), arrived


async def _ms(url: str, port: int, *, prefer: bool) -> list[float]:
    client = async_client(url)
    took = []
    http = _Client(*await asyncio.open_connection("127.0.0.1", port))
    for number in range(RUNS):
        query = post("/api/query", json.dumps({"query": f"{prefer} {number}"}).encode())
        if prefer:
            asking = asyncio.create_task(http.ask(query.replace(b"\r\n", b"\r\nPrefer: wait=20\r\n", 1)))
            while not await client.zcard("cg:waiting"):  # noqa: ASYNC110 -- the submission arrives at some time
                await asyncio.sleep(0.002)
        else:
            job = (await http.ask(query))[0]["jobId"]
            asking = asyncio.create_task(http.ask(get(f"/api/query/{job}?wait=20")))
        claim = await take(url)
        await _subscribed(client, claim.job_id)
        settlement = claims.finish(claim, "completed", {"result": RESULT}, keep_for=60)
        assert await claims.settle(client, settlement) == "settled"
        committed = time.perf_counter()
        answer, arrived = await asking
        took.append((arrived - committed) * 1000)
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
