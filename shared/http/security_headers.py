"""Headers that every answer has, so that no browser or cache does with it what it should not."""

from collections.abc import Iterable

# Nothing is stored unless an answer says itself how long: almost everything holds a caller's data.
_DEFAULTS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
)


def missing(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return those that an answer does not have yet."""
    names = {name.lower() for name, _ in headers}
    return [field for field in _DEFAULTS if field[0] not in names]
