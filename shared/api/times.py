"""Times in the form of the API."""

from datetime import UTC, datetime
from functools import lru_cache


def when(milliseconds: int | None) -> str | None:
    """Write a time, or None for no time."""
    return None if milliseconds is None else rfc3339(milliseconds)


def rfc3339(milliseconds: int) -> str:
    """Write milliseconds since the epoch as RFC 3339 in UTC, such as `2026-01-31T12:00:00.123Z`."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_to_the_second(seconds)}.{rest:03}Z"


@lru_cache(64)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")
