"""Time series of what jobs did, by the minute for an hour and by the hour for a week.

Fields of `cg:minute:MINUTE` and `cg:hour:HOUR`, each a count:

    completed, cancelled, failed:CODE  jobs that ended
    wait:N, run:N                      jobs whose wait or run, in ms, is in bucket N: up to 2 ^ (N / 2)

The scripts that claim and end a job count them. There are 120 minutes and 192 hours at most, each with at most 61
buckets of each kind and a field for each code.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import redis.asyncio

from shared.store.redis import scripts

Span = Literal["1h", "24h", "7d"]
# The unit of the points of a span, and their number.
_UNITS: dict[Span, tuple[Literal["minute", "hour"], int]] = {
    "1h": ("minute", 60),
    "24h": ("hour", 24),
    "7d": ("hour", 168),
}
_MS = {"minute": 60_000, "hour": 3_600_000}
Durations = Counter[int]


@dataclass(frozen=True, slots=True)
class Point:
    """What was counted in one minute or hour; `at` is its beginning in ms, `ended` counts jobs by state."""

    at: int
    ended: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    waits: Durations = field(default_factory=Counter)
    runs: Durations = field(default_factory=Counter)


async def read(client: redis.asyncio.Redis, span: Span) -> list[Point]:
    """Return the points of a span that ends now, the oldest first, in one round trip."""
    unit, count = _UNITS[span]
    flat = await scripts.run(client, "series", unit=unit, points=count)
    return [_point(number * _MS[unit], fields) for number, fields in zip(flat[::2], flat[1::2], strict=True)]


def _point(at: int, flat: list[str]) -> Point:
    point = Point(at)
    for name, count in zip(flat[::2], flat[1::2], strict=True):
        what, _, rest = name.partition(":")
        if what in {"wait", "run"}:
            (point.waits if what == "wait" else point.runs)[int(rest)] += int(count)
        else:
            point.ended[what] += int(count)
            if rest:
                point.errors[rest] += int(count)
    return point


def step(span: Span) -> int:
    """Return the seconds between two points of a span."""
    return _MS[_UNITS[span][0]] // 1000


def total(parts: Iterable[Durations]) -> Durations:
    """Add up the durations of several points."""
    found: Durations = Counter()
    for part in parts:
        found.update(part)
    return found


def percentile(durations: Mapping[int, int], share: float) -> int | None:
    """Return the duration in ms that a share of all do not exceed, to a part of its bucket; None without any."""
    wanted, below = share * sum(durations.values()), 0
    for bucket in sorted(durations):
        count = durations[bucket]
        if below + count >= wanted and count:
            low, high = (2 ** ((bucket - 1) / 2) if bucket else 0.0), 2 ** (bucket / 2)
            return round(low + (high - low) * (wanted - below) / count)
        below += count
    return None
