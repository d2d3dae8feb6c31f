"""Measure the requests per second of one API process, compared with FastAPI and plain RQ, and with a constant."""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import psutil
import uvloop
from redis import Redis

from local.embedded_redis import find_server
from shared.store.redis.client import close_clients
from tests.benchmarks import servers
from tests.benchmarks.cpu import seconds
from tests.benchmarks.figures import Figure
from tests.benchmarks.load import Request, get, post, rate
from tests.support import slot
from tests.support.redis_server import RedisServer

# Many short rounds, so that other load on the machine affects both sides of a ratio alike.
CONNECTIONS, ROUNDS, SECONDS = 16, 25, 0.4
SAME = "What is the same each time?"


def _query(number: int) -> bytes:
    return post("/api/query", json.dumps({"query": f"How many are {number:08} and {number:08}?"}).encode())


def _again(_number: int) -> bytes:
    return post("/api/query", json.dumps({"query": SAME}).encode())


def fresh() -> Request:
    """Return a function that makes a new query each time."""
    numbers = iter(range(10_000_000))
    return lambda _: _query(next(numbers))


async def in_turn(ways: Mapping[str, Callable[[float], object]]) -> dict[str, list[float]]:
    """Return the rates of each variant, measured in turn so that a machine that slows down does so for all."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for round_number in range(ROUNDS + 1):
        for name, way in ways.items():
            seen = await way(SECONDS)  # type: ignore[misc]
            if round_number:  # the first warms up
                rates[name].append(seen)
    return rates


def ratio(rates: dict[str, list[float]], name: str, to: str) -> float:
    """Return the median of the ratios of two variants, round by round."""
    return statistics.median(one / other for one, other in zip(rates[name], rates[to], strict=True))


async def _finished(port: int, redis_url: str) -> bytes:
    """Return the request for the status of a job whose answer is in the cache."""
    async with httpx.AsyncClient(trust_env=False) as client:
        accepted = await client.post(f"http://127.0.0.1:{port}/api/query", json={"query": SAME})
    assert await slot.run(redis_url, keep_for=3600)
    await close_clients()
    return get(f"/api/query/{accepted.json()['jobId']}")


async def _compare(ports: dict[str, int], job: bytes) -> dict[str, list[float]]:
    def way(name: str, request: Request, expected: int) -> Callable[[float], object]:
        return lambda seconds: rate(ports[name], request, expected, connections=CONNECTIONS, seconds=seconds)

    return await in_turn(
        {
            "gateway": way("gateway", fresh(), 202),
            "cached": way("gateway", _again, 200),
            "status": way("gateway", lambda _: job, 200),
            "plain": way("plain", fresh(), 202),
            "constant": way("constant", fresh(), 202),
        }
    )


async def _cpu_of_one(port: int, process: psutil.Process, processes: int, request: Request, seconds: float) -> float:
    """Return the CPU seconds of the API's processes for a submission, with 16 connections for each process."""
    before, started = _spent(process), time.perf_counter()
    a_second = await rate(port, request, 202, connections=CONNECTIONS * processes, seconds=seconds)
    return (_spent(process) - before) / (a_second * (time.perf_counter() - started))


def _spent(process: psutil.Process) -> float:
    return sum(seconds(one.pid) for one in (process, *process.children(recursive=True)))


def _two_processes(folder: Path, redis_url: str) -> Figure:
    """Compare what two processes could accept with what one can, by CPU: the client here uses the same cores."""
    with ExitStack() as stack:
        ways = {}
        for number in (1, 2):
            port, process = stack.enter_context(servers.gateway(folder, redis_url, WEB_CONCURRENCY=str(number)))
            ways[str(number)] = partial(_cpu_of_one, port, process, number, fresh())
        taken = uvloop.run(in_turn(ways))
    each = {number: statistics.median(seen) * 1e6 for number, seen in taken.items()}
    return Figure("submissions for two cores' CPU, WEB_CONCURRENCY=2", "one process and one core",
                  2 * ratio(taken, "1", "2"), "≥", 1.6,
                  detail=f"{each['2']:.0f} µs, {each['1']:.0f} µs each")  # fmt: skip


def _detail(rates: dict[str, list[float]], name: str, other: str) -> str:
    return f"{statistics.median(rates[name]):.0f}/s, {statistics.median(rates[other]):.0f}/s"


def measure() -> list[Figure]:
    """Compare submissions, cached answers and status reads."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "redis").mkdir()
        redis = stack.enter_context(RedisServer(find_server(), folder / "redis"))
        gateway, _ = stack.enter_context(servers.gateway(folder, redis.url))
        ports = {"gateway": gateway}
        for rival in ("plain", "constant"):
            ports[rival] = stack.enter_context(servers.rival(rival, folder, redis.url))
        job = uvloop.run(_finished(gateway, redis.url))
        with Redis.from_url(redis.url) as store:
            # As `make up` and `claude-gateway local` run it: it writes to disk each second.
            store.config_set("appendfsync", "everysec")
            rates = uvloop.run(_compare(ports, job))
            two = _two_processes(folder, redis.url)
            # Each answer waits for the disk.
            store.config_set("appendfsync", "always")
            synced = uvloop.run(_compare(ports, job))
    return [
        Figure("submissions per second, 16 connections", "FastAPI + rq.Queue.enqueue", ratio(rates, "gateway", "plain"),
               "≥", 4.5, detail=_detail(rates, "gateway", "plain")),
        Figure("submissions per second", "FastAPI with a constant", ratio(rates, "gateway", "constant"),
               "≥", 0.9, detail=_detail(rates, "gateway", "constant")),
        Figure("cached answers per second", "FastAPI with a constant", ratio(rates, "cached", "constant"),
               "≥", 1.0, detail=_detail(rates, "cached", "constant")),
        Figure("status reads per second", "FastAPI with a constant", ratio(rates, "status", "constant"),
               "≥", 1.0, detail=_detail(rates, "status", "constant")),
        two,
        *(
            Figure(f"{what} per second, `appendfsync always`", "FastAPI with a constant",
                   ratio(synced, way, "constant"), detail=_detail(synced, way, "constant"))
            for way, what in (("gateway", "submissions"), ("cached", "cached answers"), ("status", "status reads"))
        ),
    ]  # fmt: skip
