"""A stand-in for an OpenTelemetry collector: receives OTLP over HTTP and keeps the spans, by OpenTelemetry's own types.

It is no collector: it forwards, samples and batches nothing.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.support.quiet_http import QuietHandler, QuietServer
from tests.support.waiting import until

_KINDS = {1: "internal", 2: "server", 3: "client"}


@dataclass(frozen=True)
class Received:
    """A span as it was received; ids in hexadecimal, `parent` empty for the first of a trace, times in ns."""

    name: str
    trace_id: str
    span_id: str
    parent: str
    kind: str
    started: int
    ended: int
    state: str
    is_error: bool
    attributes: dict[str, Any]
    resource: dict[str, Any] = field(hash=False, compare=False)


class Collector:
    """Listens on 127.0.0.1 within a `with` block; `reply` returns the status of each answer, after it was received."""

    def __init__(self, reply: Callable[[], int] = lambda: 200) -> None:
        self.reply = reply
        self.spans: list[Received] = []
        self.requests: list[dict[str, str]] = []
        self.closing = threading.Event()
        collector = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:  # noqa: N802 -- the base class names it so
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.requests.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
                status = collector.reply()
                if status == 200:
                    collector.spans += _spans_in(ExportTraceServiceRequest.FromString(body))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

        self.server = QuietServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def trace(self, trace_id: str, count: int) -> list[Received]:
        """Wait until a trace has so many spans, and return them in the order of their starts."""
        until(lambda: len(self._of(trace_id)) >= count, within=30)
        return sorted(self._of(trace_id), key=lambda span: span.started)

    def _of(self, trace_id: str) -> list[Received]:
        return [span for span in list(self.spans) if span.trace_id == trace_id]

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.closing.set()
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


def tree(spans: Iterable[Received], parent: str) -> list[Any]:
    """Return the names of the spans below a span, each with those below it when it has any."""
    spans = list(spans)
    found = []
    for span in sorted((one for one in spans if one.parent == parent), key=lambda one: one.started):
        below = tree(spans, span.span_id)
        found.append((span.name, below) if below else span.name)
    return found


def _spans_in(request: ExportTraceServiceRequest) -> list[Received]:
    return [
        Received(
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            kind=_KINDS[span.kind],
            started=span.start_time_unix_nano,
            ended=span.end_time_unix_nano,
            state=span.trace_state,
            is_error=span.status.code == 2,
            attributes=_dict(span.attributes),
            resource=_dict(of_resource.resource.attributes),
        )
        for of_resource in request.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]


def _dict(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind) if kind else None
