"""Logs and metrics of a Lambda function for CloudWatch, with Powertools: lines with request and trace ids, EMF metrics.

Imported in Lambda only, when the handler is built, so that a snapshot contains it.
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
from shared.tracing import spans

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]
Scheduled = Callable[[], Awaitable[Mapping[str, float]]]
# Distinguishes the metrics of several deployments in one account.
SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME", "claude-api-gateway")
NAMESPACE = "ClaudeApiGateway"
# Seconds that an answer waits for the export of its span at most.
_EXPORT_WITHIN = 0.5


class _Formatter(BasePowertoolsFormatter):
    """Our log lines with Powertools' keys. Its formatter would write exception messages, which may quote a client."""

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
    """Wrap a handler with logging and metrics.

    METRICS_ENABLED controls the metrics of requests. The values of `scheduled` always become metrics.
    """
    if load(CommonSettings).otel_exporter_otlp_endpoint:
        from shared.tracing import exporting as exporting  # noqa: PLC0415, PLC0414 -- so that a snapshot contains it
    formatter = _Formatter()
    logger = Logger(service=SERVICE, logger_formatter=formatter)
    metrics = Metrics(namespace=NAMESPACE, service=SERVICE)

    def count_request(answer: dict[str, Any], event: dict[str, Any], seconds: float) -> None:
        metrics.add_dimension("route", event.get("routeKey") or "$default")
        metrics.add_metric("Requests", MetricUnit.Count, 1)
        metrics.add_metric("ServerErrors", MetricUnit.Count, int(answer["statusCode"] >= 500))
        metrics.add_metric("Latency", MetricUnit.Milliseconds, round(seconds * 1000, 1))

    def publish(values: Mapping[str, float]) -> dict[str, Any]:
        for name, value in values.items():
            metrics.add_metric(name, MetricUnit.NoUnit, value)
        metrics.flush_metrics()
        return dict(values)

    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        settings = load(CommonSettings)
        logs.configure(settings)
        # Lambda traces each invocation; the trace id in the log lines connects both.
        if trace := os.environ.get("_X_AMZN_TRACE_ID"):
            logger.append_keys(xray_trace_id=trace.partition(";")[0].removeprefix("Root="))
        for handler in logging.getLogger().handlers:
            handler.setFormatter(formatter)
        if scheduled is not None and "requestContext" not in event:
            # On the adapter's event loop, which owns the connections.
            return publish(asyncio.get_event_loop().run_until_complete(_awaited(scheduled)))
        started = time.perf_counter()
        answer = adapter(event, context)
        spans.flush(_EXPORT_WITHIN)  # Lambda freezes the process after the answer
        if settings.metrics_enabled:
            count_request(answer, event, time.perf_counter() - started)
            metrics.flush_metrics()
        return answer

    # Each invocation sets all keys again.
    logged: Handler = logger.inject_lambda_context(handle, correlation_id_path=correlation_paths.API_GATEWAY_HTTP)
    return logged


async def _awaited(scheduled: Scheduled) -> Mapping[str, float]:
    return await scheduled()
