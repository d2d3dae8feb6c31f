"""Exports spans with OpenTelemetry's SDK, by OTLP over HTTP. Imported only in a process that records spans."""

import logging
import threading
import time
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

from shared.configuration.settings import CommonSettings
from shared.logs import event
from shared.tracing.context import TraceContext
from shared.tracing.spans import LONGEST_VALUE, Span, Value
from shared.version import VERSION

log = logging.getLogger("traces")

_SERVICE = "claude-api-gateway"
# Spans that wait for their export: some MB. Seconds between two exports, and for one with all its retries.
_MOST_WAITING, _EXPORT_EVERY, _EXPORT_WITHIN = 2048, 1.0, 5.0
# Seconds between two log lines about failed exports, and in which nothing waits for a collector that did not answer.
_LOG_EVERY, _PATIENCE = 60.0, 30.0
_LARGEST = (1 << 63) - 1
_KINDS = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER, "client": SpanKind.CLIENT}
_OK, _ERROR = Status(StatusCode.UNSET), Status(StatusCode.ERROR)


class _LoggedExporter(SpanExporter):
    """Logs failures in the gateway's words: the SDK's own lines quote the collector's answer, and are off."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._lost = 0
        self._logged_at = -_LOG_EVERY
        self.has_failed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export spans; those that the collector does not take are dropped."""
        result = self._inner.export(spans)
        self.has_failed = result is not SpanExportResult.SUCCESS
        if self.has_failed:
            self._lost += len(spans)
            if time.monotonic() - self._logged_at >= _LOG_EVERY:
                self._logged_at = time.monotonic()
                event(log, "spans_not_exported", logging.WARNING, spans=self._lost)
                self._lost = 0
        return result

    def shutdown(self) -> None:
        """End the exporter."""
        self._inner.shutdown()


class _Resource(Resource):
    """Computes its hash once: the encoder needs it for each span, and the SDK writes all attributes as JSON for it."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource.attributes, resource.schema_url)
        self._known_hash = hash(resource)

    def __hash__(self) -> int:
        return self._known_hash

    def __eq__(self, other: object) -> bool:
        return self is other or super().__eq__(other)


class Exporting:
    """The queue of spans of this process, and the thread that exports them."""

    def __init__(self, settings: CommonSettings) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        resource = {"service.name": _SERVICE, "service.version": VERSION, **dict(settings.otel_resource_attributes)}
        if settings.otel_service_name:
            resource["service.name"] = settings.otel_service_name
        self._resource = _Resource(Resource.create(resource))
        self._scope = InstrumentationScope(_SERVICE, VERSION)
        self._exporter = _LoggedExporter(
            OTLPSpanExporter(
                endpoint=f"{settings.otel_exporter_otlp_endpoint}/v1/traces",
                headers=settings.otlp_headers,
                timeout=_EXPORT_WITHIN,
            )
        )
        self._processor = BatchSpanProcessor(
            self._exporter, max_queue_size=_MOST_WAITING, schedule_delay_millis=_EXPORT_EVERY * 1000
        )
        self._not_before = 0.0

    def add(self, span: Span) -> None:
        """Queue a span.

        The SDK's tracer neither gives a span an id that another process knows, as that of a job, nor records one as a
        whole; it also takes 30 times as long.
        """
        attributes = {name: _storable(value) for name, value in span.attributes.items() if value is not None}
        if span.error is not None:
            attributes["error.type"] = span.error
        self._processor.on_end(
            ReadableSpan(
                str(_storable(span.name)),
                context=_context(span.context, is_remote=False),
                parent=None if span.parent is None else _context(span.parent, is_remote=span.kind == "server"),
                resource=self._resource,
                attributes=attributes,
                kind=_KINDS[span.kind],
                status=_OK if span.error is None else _ERROR,
                start_time=span.started,
                end_time=max(span.started, span.ended),
                instrumentation_scope=self._scope,
            )
        )

    def flush(self, within: float) -> None:
        """Export what is queued; do not wait for a collector that has not answered lately."""
        if time.monotonic() < self._not_before:
            return
        # In a thread of its own: the SDK's method has no time limit.
        exporting = threading.Thread(target=self._processor.force_flush, daemon=True)
        exporting.start()
        exporting.join(within)
        if exporting.is_alive() or self._exporter.has_failed:
            self._not_before = time.monotonic() + _PATIENCE


def _storable(value: Value) -> Value:
    """Return a value that can be encoded: one that cannot would lose all spans that are exported with it."""
    match value:
        case str():
            short = value[:LONGEST_VALUE]
            return short if short.isascii() else short.encode("utf-8", "replace").decode()
        case bool() | float():
            return value
        case int():
            return max(-_LARGEST, min(value, _LARGEST))
        case _:
            return [str(_storable(one)) for one in value]


def _context(context: TraceContext, *, is_remote: bool) -> SpanContext:
    state = TraceState.from_header([context.state]) if context.state else None
    flags = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), is_remote, flags, state)
