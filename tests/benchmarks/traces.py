"""Measure what traces cost: jobs and submissions per second with and without a collector, in turn."""

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import uvloop

from local.embedded_redis import find_server
from tests.benchmarks import servers
from tests.benchmarks.api import CONNECTIONS, fresh, in_turn, ratio
from tests.benchmarks.figures import Figure
from tests.benchmarks.load import rate
from tests.benchmarks.throughput import JOBS, SETTLED, SLOTS, own_seconds, through
from tests.support.collector import Collector
from tests.support.deployment import Deployment
from tests.support.redis_server import RedisServer
from tests.support.scripted_model import ScriptedModel

ROUNDS = 5


def _jobs(folder: Path, collector: Collector, stack: ExitStack) -> list[Figure]:
    model = stack.enter_context(ScriptedModel())
    gateways = {}
    for name, variables in (("off", {}), ("on", {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})):
        (folder / name).mkdir()
        gateway = Deployment(folder / name, model.url, QUEUE_CONCURRENCY=str(SLOTS), CACHE_TTL="0", **variables)
        gateways[name] = stack.enter_context(gateway)
        gateway.start_worker()
        gateway.wait_for_slots(SLOTS)
    rates: dict[str, list[float]] = {name: [] for name in gateways}
    cpu: dict[str, list[float]] = {name: [] for name in gateways}
    for _ in range(ROUNDS):
        for name, gateway in gateways.items():
            time.sleep(SETTLED)
            before = own_seconds(gateway)
            rates[name].append(JOBS / through(gateway))
            time.sleep(SETTLED)
            cpu[name].append((own_seconds(gateway) - before) / (JOBS + SLOTS) * 1000)
    for gateway in gateways.values():
        gateway.kill_worker()
    on, off = statistics.median(rates["on"]), statistics.median(rates["off"])
    own_on, own_off = statistics.median(cpu["on"]), statistics.median(cpu["off"])
    return [
        Figure("jobs per second with traces", "without", ratio(rates, "on", "off"), "≥", 0.98,
               detail=f"{on:.2f}/s, {off:.2f}/s"),
        Figure("  CPU of worker, API and Redis per job", "without", own_on / own_off,
               detail=f"{own_on:.0f} ms, {own_off:.0f} ms"),
    ]  # fmt: skip


async def _submissions(ports: dict[str, int]) -> dict[str, list[float]]:
    def way(name: str) -> Callable[[float], object]:
        request = fresh()
        return lambda seconds: rate(ports[name], request, 202, connections=CONNECTIONS, seconds=seconds)

    return await in_turn({name: way(name) for name in ports})


def measure() -> list[Figure]:
    """Compare in turn, because each uses the whole machine."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        collector = stack.enter_context(Collector())
        figures = _jobs(folder, collector, stack)
        (folder / "redis").mkdir()
        redis_url = stack.enter_context(RedisServer(find_server(), folder / "redis")).url
        ports = {}
        for way, variables in (
            ("off", {}),
            ("on", {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}),
            ("tenth", {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_TRACES_SAMPLER_ARG": "0.1"}),
        ):
            (folder / f"api-{way}").mkdir()
            ports[way], _ = stack.enter_context(servers.gateway(folder / f"api-{way}", redis_url, **variables))
        rates = uvloop.run(_submissions(ports))
        on, off, tenth = (statistics.median(rates[way]) for way in ("on", "off", "tenth"))
    return [
        *figures,
        Figure("submissions per second with traces", "without", ratio(rates, "on", "off"),
               detail=f"{on:.0f}/s, {off:.0f}/s; one process, and the stand-in for a collector on the same machine"),
        Figure("  with a tenth of them", "without", ratio(rates, "tenth", "off"), detail=f"{tenth:.0f}/s, {off:.0f}/s"),
    ]  # fmt: skip
