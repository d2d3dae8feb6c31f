"""Times that clients send."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator


def _no_number(value: object) -> object:
    # Pydantic reads a number, also one in a text, as seconds since the epoch.
    if isinstance(value, datetime) or (isinstance(value, str) and "-" in value[1:]):
        return value
    raise ValueError("should be a time such as 2030-01-31T12:00:00Z")


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("should be a time of the years 1 to 9999 in UTC") from None


Time = Annotated[AwareDatetime, BeforeValidator(_no_number), AfterValidator(_in_utc)]
