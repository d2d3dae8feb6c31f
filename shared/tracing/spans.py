"""Records spans, in a process that has OTEL_EXPORTER_OTLP_ENDPOINT; in any other nothing is imported and nothing done.

A span is recorded as a whole when it has ended. Nothing waits for its export.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from shared.configuration.settings import CommonSettings
from shared.tracing.context import TraceContext

if TYPE_CHECKING:
    from shared.tracing.exporting import Exporting

Kind = Literal["internal", "server", "client"]
Value = str | int | float | bool | Sequence[str]
# Seconds that the end of a process waits for the last export.
AT_THE_END = 1.0
# Characters of an attribute's value that are kept.
LONGEST_VALUE = 16_384


@dataclass(frozen=True, slots=True)
class Span:
    """A span that has ended; times in ns since the epoch. `error` is a code, never a text of anybody's."""

    name: str
    context: TraceContext
    parent: TraceContext | None
    started: int
    ended: int
    kind: Kind = "internal"
    attributes: Mapping[str, Value | None] = field(default_factory=dict)
    error: str | None = None


_exporting: "Exporting | None" = None


def start(settings: CommonSettings) -> None:
    """Record spans in this process from now on, if the settings name a collector."""
    global _exporting  # noqa: PLW0603 -- one for the process, as for logging
    if _exporting is None and settings.otel_exporter_otlp_endpoint:
        from shared.tracing.exporting import Exporting  # noqa: PLC0415 -- 20 MB that most deployments do not need

        _exporting = Exporting(settings)


def is_on() -> bool:
    """Return whether this process records spans."""
    return _exporting is not None


def record(span: Span) -> None:
    """Queue a span for its export; a full queue drops the oldest."""
    if _exporting is not None and span.context.is_sampled:
        _exporting.add(span)


def flush(within: float) -> None:
    """Export what is queued, for so many seconds at most: at the end of a process, and before Lambda freezes one."""
    if _exporting is not None:
        _exporting.flush(within)


def now() -> int:
    """Return the present time as spans have it."""
    return time.time_ns()
