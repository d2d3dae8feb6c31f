"""What a function tells CloudWatch and X-Ray, by Powertools: log lines with ids, EMF metrics, and a trace.

Imported in Lambda only, when the handler is made, so that a snapshot holds it.
"""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.logging.formatter import BasePowertoolsFormatter
from aws_lambda_powertools.metrics import MetricUnit

from shared import logs
from shared.settings import CommonSettings, load

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]
SERVICE = "claude-api-gateway"
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


def with_telemetry(adapter: Handler) -> Handler:
    """Wrap a handler; METRICS_ENABLED decides on the metrics, and the function's own configuration on tracing."""
    formatter = _Formatter()
    logger = Logger(service=SERVICE, logger_formatter=formatter)
    metrics = Metrics(namespace=NAMESPACE, service=SERVICE)
    # Redis is the only thing that is called, and no patch of X-Ray's knows it.
    tracer = Tracer(service=SERVICE, auto_patch=False)

    def count(answer: dict[str, Any], event: dict[str, Any], seconds: float) -> None:
        metrics.add_dimension("route", event.get("routeKey") or "$default")
        metrics.add_metric("Requests", MetricUnit.Count, 1)
        metrics.add_metric("ServerErrors", MetricUnit.Count, int(answer["statusCode"] >= 500))
        metrics.add_metric("Latency", MetricUnit.Milliseconds, round(seconds * 1000, 1))

    def counted(event: dict[str, Any], context: Any) -> dict[str, Any]:
        settings = load(CommonSettings)
        logs.configure(settings)
        for handler in logging.getLogger().handlers:
            handler.setFormatter(formatter)
        started = time.perf_counter()
        answer = adapter(event, context)
        if settings.metrics_enabled:
            count(answer, event, time.perf_counter() - started)
            metrics.flush_metrics()
        return answer

    traced: Handler = tracer.capture_lambda_handler(counted, capture_response=False, capture_error=False)
    # Every invocation brings all the keys anew.
    told: Handler = logger.inject_lambda_context(traced, correlation_id_path=correlation_paths.API_GATEWAY_HTTP)
    return told
