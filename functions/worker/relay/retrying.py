"""Decides when a request to Claude is sent again: by status, with back-off, and not before `retry-after`."""

import math
import random
import time
from email.utils import parsedate_to_datetime

from shared.api.vocabulary import ErrorCode

_FIRST, _LAST = 0.5, 30.0
_JITTER = 0.25
# A larger `retry-after` is no serious answer; s.
_LONGEST = 30 * 86_400.0


def is_transient(status: int) -> bool:
    """Return whether a request that was refused with an HTTP status may succeed later."""
    return status in {408, 409, 429} or status >= 500


def is_refusal(status: int) -> bool:
    """Return whether an HTTP status refuses the credentials."""
    return status in {401, 403}


def code_of(status: int | None, kind: str | None) -> ErrorCode:
    """Return the error code of a request that failed; `status` is None when there was no HTTP answer."""
    if kind == "overloaded_error" or status == 529:
        return "overloaded"
    if status == 429:
        return "rate_limited"
    if status is not None and is_refusal(status):
        return "authentication_failed"
    return "server_error"


def pause(tries: int, retry_after: float | None) -> float:
    """Return the seconds to wait after so many failed tries: exponential, and never less than `retry_after`."""
    backoff = min(_FIRST * 2 ** min(tries - 1, 16), _LAST)
    jittered: float = backoff * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 -- no secret
    return max(jittered, retry_after or 0.0)


def retry_after(headers: dict[str, str]) -> float | None:
    """Return how many seconds Claude asks to wait, by a number or an HTTP date; None when it does not ask."""
    if (precise := _number(headers.get("retry-after-ms"))) is not None:
        return min(precise / 1000, _LONGEST)
    given = headers.get("retry-after")
    if given is None:
        return None
    if (seconds := _number(given)) is not None:
        return min(seconds, _LONGEST)
    try:
        moment = parsedate_to_datetime(given).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return min(max(moment - time.time(), 0.0), _LONGEST)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
