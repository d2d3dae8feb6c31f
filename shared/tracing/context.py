"""Trace contexts: where a span is in its trace. They travel as text, with a job in Redis and in HTTP headers.

The text is a `traceparent` of W3C Trace Context, followed by a space and the `tracestate` when there is one.
"""

from contextvars import ContextVar
from dataclasses import dataclass, replace
from secrets import token_hex

_HALF = 16


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span's ids, in hexadecimal; whether its trace is recorded; and the `tracestate` of the client."""

    trace_id: str
    span_id: str
    is_sampled: bool = True
    state: str = ""

    @property
    def traceparent(self) -> str:
        """The value of the header `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"

    @property
    def text(self) -> str:
        """The whole context as text."""
        return f"{self.traceparent} {self.state}" if self.state else self.traceparent

    @property
    def headers(self) -> dict[str, str]:
        """The HTTP headers that carry the context on."""
        return {"traceparent": self.traceparent, **({"tracestate": self.state} if self.state else {})}

    def child(self) -> "TraceContext":
        """Return the context of a new span below this one."""
        return replace(self, span_id=token_hex(8))


# The span that the present task works for; None while there is none, as in a process without traces.
current: ContextVar[TraceContext | None] = ContextVar("trace", default=None)


def parse(text: str) -> TraceContext | None:
    """Read what `text` wrote; None for an empty text."""
    if not text:
        return None
    traceparent, _, state = text.partition(" ")
    _, trace_id, span_id, flags = traceparent.split("-")
    return TraceContext(trace_id, span_id, flags == "01", state)


def current_text() -> str:
    """Return the present context as text; empty without one."""
    found = current.get()
    return "" if found is None else found.text


def of_job(job_id: str, parent: TraceContext | None, round_: int, ratio: float) -> TraceContext:
    """Return the context of a job's span, which every process computes alike, without writing it anywhere.

    A job without a `parent`, such as one of a schedule, begins a trace, whose id is the job's. A `round_` above 0 is
    that of a job that runs again after its end; it has a span of its own.
    """
    number = job_id.replace("-", "")
    span_id = f"{int(number[_HALF:], 16) ^ round_:016x}"
    if parent is not None:
        return replace(parent, span_id=span_id)
    return TraceContext(number, span_id, is_in(number, ratio))


def is_in(trace_id: str, ratio: float) -> bool:
    """Return whether a trace that begins here is among the part that is recorded, by the random end of its id."""
    return int(trace_id[-14:], 16) < ratio * (1 << 56)
