"""The span of a delivery attempt, whose context its request carries on to the receiver."""

from dataclasses import dataclass

from shared.configuration.settings import WorkerSettings
from shared.store.jobs.records import StoredJob
from shared.store.webhooks import outbox
from shared.tracing import spans
from shared.tracing.context import TraceContext, current, of_job, parse


@dataclass(frozen=True, slots=True)
class DeliveryTrace:
    """A delivery attempt that becomes a span when it has ended."""

    context: TraceContext
    parent: TraceContext
    began: int

    def end(self, webhook: outbox.Webhook, result: outbox.AttemptResult) -> None:
        """Record the span: the receiver's host, and nothing else of its URL, which can hold a secret."""
        host, _, port = webhook.host.rpartition(":")
        attributes: dict[str, spans.Value | None] = {
            "http.request.method": "POST",
            "http.response.status_code": result.status,
            "http.request.resend_count": webhook.attempts or None,
            "server.address": host.strip("[]"),
            "server.port": int(port) if port.isdecimal() else None,
            "claude_gateway.request.id": webhook.request_id,
            "claude_gateway.webhook.event": webhook.event,
        }
        error = None
        if result.error is not None:
            error = str(result.status) if result.status else "not_delivered"
        name = f"webhook {webhook.event}"
        spans.record(spans.Span(name, self.context, self.parent, self.began, spans.now(), "client", attributes, error))


def begin(webhook: outbox.Webhook, settings: WorkerSettings) -> DeliveryTrace | None:
    """Begin the span of an attempt, below that of the submission; None for an event that belongs to no trace."""
    if not spans.is_on():
        return None
    parent = parse(webhook.trace)
    if parent is None:
        if not isinstance(webhook.subject, StoredJob):
            return None
        # The job of a schedule, or one that was submitted without traces.
        round_ = int(webhook.leased.name.partition(".")[2] or 0)
        parent = of_job(webhook.subject.job_id, None, round_, settings.otel_traces_sampler_arg)
    own = parent.child()
    current.set(own)
    return DeliveryTrace(own, parent, spans.now())


def headers_of(trace: DeliveryTrace | None) -> dict[str, str]:
    """Return the headers that carry a trace on; none without a trace."""
    return {} if trace is None else trace.context.headers
