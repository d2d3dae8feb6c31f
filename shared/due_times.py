"""The due times of a cron expression in a time zone.

A wall-clock time that the zone skips is no due time. One that occurs twice is due once, when it occurs first.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from importlib.resources import files
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

LONGEST = 200
MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = 5
# No zone has set its clocks back by more since 1970, apart from those that moved over the date line.
_SET_BACK = timedelta(hours=3)


@cache
def zones() -> frozenset[str]:
    """Return the names of all time zones: those of the IANA database, which are the same on every machine."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


def check_zone(name: str) -> str:
    """Return the name of a time zone; raises ValueError for an unknown one."""
    if name not in zones():
        raise ValueError("should be a time zone of the IANA database, such as Europe/Berlin or UTC")
    return name


def check(expression: str) -> str:
    """Return a cron expression; raises ValueError for one that is malformed, or never due."""
    text = _spelled_out(expression)
    if len(text.split()) != _FIELDS or len(text) > LONGEST:
        raise ValueError(
            f"should have {_FIELDS} fields (minute, hour, day of the month, month, day of the week) of at most "
            f"{LONGEST} characters, or be one of {', '.join(MACROS)}"
        )
    try:
        next(CronSim(text, datetime(2024, 1, 1)))  # noqa: DTZ001 -- wall-clock time
    except CronSimError as error:
        raise ValueError(f"is not a cron expression: {str(error).lower()}") from None
    except (StopIteration, AssertionError, ValueError, IndexError):
        raise ValueError("is not a cron expression that is ever due") from None
    return expression


def after(expression: str, zone: str, at: int) -> Iterator[int]:
    """Yield the due times after a time, in ms since the epoch."""
    place = _zone(zone)
    begin = datetime.fromtimestamp(at / 1000, UTC)
    for wall in CronSim(_spelled_out(expression), begin.astimezone(place).replace(tzinfo=None)):
        found = _instant(wall, place)
        if found is not None and found > at:
            yield found


def first(expression: str, zone: str, at: int) -> int:
    """Return the first due time after a time, in ms; 0 when there is none within 50 years."""
    return next(after(expression, zone, at), 0)


@lru_cache(4096)
def upcoming(expression: str, zone: str, at: int, count: int) -> tuple[int, ...]:
    """Return the next due times after a time, in ms. Rare ones, such as each 28 years, take milliseconds to find."""
    return tuple(islice(after(expression, zone, at), count))


def last(expression: str, zone: str, at: int) -> int:
    """Return the last due time that is not after a time, in ms; 0 when there is none within 50 years."""
    place = _zone(zone)
    # A wall-clock time that lies ahead may have come already, before the clocks were set back.
    begin = datetime.fromtimestamp(at / 1000, UTC).astimezone(place).replace(tzinfo=None) + _SET_BACK
    for wall in CronSim(_spelled_out(expression), begin, reverse=True):
        found = _instant(wall, place)
        if found is not None and found <= at:
            return found
    return 0


def _spelled_out(expression: str) -> str:
    return MACROS.get(expression.strip().lower(), expression)


@lru_cache(1000)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _instant(wall: datetime, place: ZoneInfo) -> int | None:
    """Return the first time, in ms, at which the clocks of a place show a time; None when they never do."""
    found = wall.replace(tzinfo=place, fold=0).astimezone(UTC)
    if found.astimezone(place).replace(tzinfo=None, fold=0) != wall:
        return None
    return int(found.timestamp()) * 1000
