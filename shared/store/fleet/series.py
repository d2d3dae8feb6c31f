"""Time series of what jobs did, by the minute for an hour and by the hour for a week.

Fields of `cg:minute:MINUTE` and `cg:hour:HOUR`, each a count:

    completed, cancelled, failed:CODE  jobs that ended
    wait:N, run:N                      jobs whose wait or run, in ms, is in bucket N: up to 2 ^ (N / 2)

The scripts that claim and end a job count them. There are 120 minutes and 192 hours at most, each with at most 61
buckets of each kind and a field for each code.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
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


@lru_cache(1024)
def _parsed(name: str) -> tuple[str, str, int]:
    """Return what a field counts, the code of a failure, and the bucket of a duration."""
    what, _, rest = name.partition(":")
    return (what, "", int(rest)) if what in {"wait", "run"} else (what, rest, 0)


def _point(at: int, flat: list[str]) -> Point:
    point = Point(at)
    waits, runs = point.waits, point.runs
    fields = iter(flat)
    for name, count in zip(fields, fields, strict=True):
        what, code, bucket = _parsed(name)
        if what == "wait":
            waits[bucket] = int(count)
        elif what == "run":
            runs[bucket] = int(count)
        else:
            point.ended[what] += int(count)
            if code:
                point.errors[code] += int(count)
    return point


def step(span: Span) -> int:
    """Return the seconds between two points of a span."""
    return _MS[_UNITS[span][0]] // 1000


def total(parts: Iterable[Durations]) -> Durations:
    """Add up the durations of several points."""
    found: dict[int, int] = {}
    for part in parts:
        for bucket, count in part.items():
            found[bucket] = found.get(bucket, 0) + count
    return Counter(found)


def percentiles(durations: Mapping[int, int], shares: Sequence[float]) -> list[int | None]:
    """Return for each share, in ascending order, the duration in ms that it does not exceed; None without any.

    A duration is exact to a part of its bucket.
    """
    found: list[int | None] = []
    whole, below = sum(durations.values()), 0
    for bucket in sorted(durations):
        count = durations[bucket]
        while count and len(found) < len(shares) and below + count >= shares[len(found)] * whole:
            low, high = (2 ** ((bucket - 1) / 2) if bucket else 0.0), 2 ** (bucket / 2)
            found.append(round(low + (high - low) * (shares[len(found)] * whole - below) / count))
        below += count
    return found + [None] * (len(shares) - len(found))
