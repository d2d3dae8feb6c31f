"""The trace context of an HTTP request: the client's, checked, or a new one."""

from collections.abc import Iterable
from secrets import token_hex

from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.tracing.context import TraceContext, is_in

# The bytes of a `tracestate` that W3C Trace Context asks everybody to carry; a longer one is dropped.
_LONGEST_STATE = 512
_PROPAGATOR = TraceContextTextMapPropagator()


def client_context(headers: Iterable[tuple[bytes, bytes]]) -> TraceContext | None:
    """Return the context that a client sent; None without one that is valid. `baggage` is not read."""
    parents, states = [], []
    for name, value in headers:
        if name == b"traceparent":
            parents.append(value)
        elif name == b"tracestate":
            states.append(value)
    if len(parents) != 1:
        return None
    state = b",".join(states)
    carrier = {"traceparent": parents[0].decode("latin-1")}
    if state and len(state) <= _LONGEST_STATE and state.isascii():
        carrier["tracestate"] = state.decode()
    found = get_current_span(_PROPAGATOR.extract(carrier)).get_span_context()
    if not found.is_valid:
        return None
    ids = f"{found.trace_id:032x}", f"{found.span_id:016x}"
    return TraceContext(*ids, found.trace_flags.sampled, found.trace_state.to_header())


def new_context(ratio: float) -> TraceContext:
    """Return the context of a span that begins a trace."""
    trace_id = token_hex(16)
    return TraceContext(trace_id, token_hex(8), is_in(trace_id, ratio))
