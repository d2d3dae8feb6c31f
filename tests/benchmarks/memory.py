"""Measure memory: in Redis for a waiting job, in an API process for a waiting or following client."""

import asyncio
import resource
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psutil
import redis.asyncio
from pydantic import SecretStr

from local.embedded_redis import find_server
from shared.api.requests import SubmitRequest
from shared.configuration.settings import SubmitSettings
from shared.store import keys
from tests.benchmarks import servers
from tests.benchmarks.figures import Figure
from tests.benchmarks.load import get
from tests.support.redis_server import RedisServer
from tests.support.submitting import submit_all

JOBS, CLIENTS = 3000, 1000
QUERY = "q" * 1016


async def _redis(url: str) -> tuple[float, float]:
    """Return the bytes in Redis for each waiting job, and the bytes of its fields."""
    async with redis.asyncio.Redis.from_url(url, decode_responses=True) as client:
        settings = SubmitSettings(redis_url=SecretStr(url), max_queue_depth=10**6)
        warm = await submit_all(settings, [SubmitRequest(query=f"{QUERY}{-1:08}")])
        before = (await client.info("memory"))["used_memory"]
        await submit_all(settings, [SubmitRequest(query=f"{QUERY}{number:08}") for number in range(JOBS)])
        after = (await client.info("memory"))["used_memory"]
        record = await client.hgetall(keys.job(warm[0]))
        input_bytes = await client.strlen(keys.job_input(warm[0]))
    held = sum(len(name) + len(value) for name, value in record.items()) + input_bytes + len(warm[0])
    return (after - before) / JOBS, held


async def _clients(port: int, process: psutil.Popen, request: bytes) -> float:
    """Return the bytes of an API process for each of many waiting clients."""
    before = process.memory_info().rss
    made = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CLIENTS)]
    for _, writer in made:
        writer.write(request)
    await asyncio.sleep(5)
    after = process.memory_info().rss
    for _, writer in made:
        writer.close()
    await asyncio.sleep(1)
    return (after - before) / CLIENTS


async def _waiting(url: str, folder: Path) -> dict[str, float]:
    seen = {}
    settings = SubmitSettings(redis_url=SecretStr(url))
    for kind, path in (("waiters", "?wait=25"), ("streams", "/events")):
        job = (await submit_all(settings, [SubmitRequest(query=kind)]))[0]
        # Each in its own process, because memory that one has freed would be reused by the other.
        with servers.gateway(folder, url) as (port, process):
            seen[kind] = await _clients(port, process, get(f"/api/query/{job}{path}"))
    return seen


def measure() -> list[Figure]:
    """Measure both."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "redis").mkdir()
        server = stack.enter_context(RedisServer(find_server(), folder / "redis"))
        used, held = asyncio.run(_redis(server.url))
        clients = asyncio.run(_waiting(server.url, folder))
    return [
        Figure("Redis memory of a waiting job, 1 KB query", "the bytes of its fields", used / held, "≤", 2.0,
               detail=f"{used:.0f} bytes, {held:.0f} bytes"),
        *(
            Figure(f"API memory per client, {CLIENTS} {kind}", "", taken / 1024, "≤", 50, "KB")
            for kind, taken in clients.items()
        ),
    ]  # fmt: skip
