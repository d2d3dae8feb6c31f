"""What a function tells CloudWatch, by Powertools: log lines with ids, that of X-Ray's trace too, and EMF metrics.

Imported in Lambda only, when the handler is made, so that a snapshot holds it.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.logging.formatter import BasePowertoolsFormatter
from aws_lambda_powertools.metrics import MetricUnit

from shared import logs
from shared.configuration.settings import CommonSettings, load

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]
Scheduled = Callable[[], Awaitable[Mapping[str, float]]]
# Several deployments in one account tell their figures apart by it.
SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME", "claude-api-gateway")
NAMESPACE = "ClaudeApiGateway"


class _Formatter(BasePowertoolsFormatter):
    """Our lines with Powertools' keys: its own would quote an exception's message, which may quote a client."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: dict[str, Any] = {}

    def append_keys(self, **additional_keys: Any) -> None:
        self._keys.update(additional_keys)

    def get_current_keys(self) -> dict[str, Any]:
        return dict(self._keys)

    def remove_keys(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._keys.pop(key, None)

    def clear_state(self) -> None:
        self._keys.clear()

    def format(self, record: logging.LogRecord) -> str:
        return logs.JsonFormatter(self._keys).format(record)


def with_telemetry(adapter: Handler, scheduled: Scheduled | None) -> Handler:
    """Wrap a handler; METRICS_ENABLED decides on the metrics of requests, the function's configuration on tracing.

    What `scheduled` returns becomes metrics always: a schedule has no other purpose.
    """
    formatter = _Formatter()
    logger = Logger(service=SERVICE, logger_formatter=formatter)
    metrics = Metrics(namespace=NAMESPACE, service=SERVICE)

    def count(answer: dict[str, Any], event: dict[str, Any], seconds: float) -> None:
        metrics.add_dimension("route", event.get("routeKey") or "$default")
        metrics.add_metric("Requests", MetricUnit.Count, 1)
        metrics.add_metric("ServerErrors", MetricUnit.Count, int(answer["statusCode"] >= 500))
        metrics.add_metric("Latency", MetricUnit.Milliseconds, round(seconds * 1000, 1))

    def publish(figures: Mapping[str, float]) -> dict[str, Any]:
        for name, figure in figures.items():
            metrics.add_metric(name, MetricUnit.NoUnit, figure)
        metrics.flush_metrics()
        return dict(figures)

    def counted(event: dict[str, Any], context: Any) -> dict[str, Any]:
        settings = load(CommonSettings)
        logs.configure(settings)
        # Lambda itself traces each invocation; with the trace's id its lines are found, and the other way round.
        if trace := os.environ.get("_X_AMZN_TRACE_ID"):
            logger.append_keys(xray_trace_id=trace.partition(";")[0].removeprefix("Root="))
        for handler in logging.getLogger().handlers:
            handler.setFormatter(formatter)
        if scheduled is not None and "requestContext" not in event:
            # On the adapter's own loop, where the connections are.
            return publish(asyncio.get_event_loop().run_until_complete(_awaited(scheduled)))
        started = time.perf_counter()
        answer = adapter(event, context)
        if settings.metrics_enabled:
            count(answer, event, time.perf_counter() - started)
            metrics.flush_metrics()
        return answer

    # Every invocation brings all the keys anew.
    told: Handler = logger.inject_lambda_context(counted, correlation_id_path=correlation_paths.API_GATEWAY_HTTP)
    return told


async def _awaited(scheduled: Scheduled) -> Mapping[str, float]:
    return await scheduled()
