"""The span of an HTTP request."""

from dataclasses import dataclass

from starlette.types import Scope

from shared.configuration.settings import CommonSettings
from shared.tracing import spans
from shared.tracing.context import TraceContext, current

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_READS = {"GET", "HEAD", "OPTIONS"}


@dataclass(frozen=True, slots=True)
class RequestTrace:
    """A request that becomes a span when it has ended."""

    context: TraceContext
    parent: TraceContext | None
    began: int

    def end(self, scope: Scope, route: str | None, status: int, request_id: str, job_id: str | None = None) -> None:
        """Record the span. It names the route and not the path, which can hold any text of the client."""
        current.set(None)
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        name = f"{method if method in _METHODS else 'HTTP'} {route or ''}".strip()
        attributes: dict[str, spans.Value | None] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            "url.scheme": scope["scheme"],
            "claude_gateway.request.id": request_id,
            "claude_gateway.job.id": job_id,
        }
        error = str(status) if status >= 500 else None
        spans.record(spans.Span(name, self.context, self.parent, self.began, spans.now(), "server", attributes, error))


def begin(scope: Scope, settings: CommonSettings) -> RequestTrace | None:
    """Begin the span of a request and make it the present one; None for a request without a span.

    A request that changes nothing has one only within a client's own trace: each poll of a job would begin a trace of
    one span otherwise.
    """
    if not settings.otel_exporter_otlp_endpoint or scope["path"].startswith(("/health", "/metrics")):
        return None
    from shared.tracing.incoming import client_context, new_context  # noqa: PLC0415 -- imports OpenTelemetry

    parent = client_context(scope["headers"])
    if parent is None and scope["method"] in _READS:
        return None
    spans.start(settings)
    own = new_context(settings.otel_traces_sampler_arg) if parent is None else parent.child()
    current.set(own)
    return RequestTrace(own, parent, spans.now())
