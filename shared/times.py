"""Times as the API writes them."""

from datetime import UTC, datetime


def when(milliseconds: int | None) -> str | None:
    """Write a time that may not have come."""
    return None if milliseconds is None else rfc3339(milliseconds)


def rfc3339(milliseconds: int) -> str:
    """Write milliseconds since the epoch as RFC 3339 in UTC, such as `2026-01-31T12:00:00.123Z`."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
