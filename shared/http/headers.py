"""Parse request headers. Every function returns a value for any text that a client sends, and raises nothing.

| Header | Function |
|---|---|
| Accept (of /metrics) | `wants_openmetrics` |
| Authorization | `credentials` |
| Content-Length | `declared_length` |
| Content-Type | `media_type` |
| Host | `host_of` |
| Prefer | `preferred_wait` |
"""

import re
from collections.abc import Iterator

from starlette.datastructures import Headers

_HOST = re.compile(
    r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9_-](?:[a-z0-9._-]{0,251}[a-z0-9_-])?)\.?(?::[0-9]{1,5})?", re.IGNORECASE
)
_LENGTH = re.compile("[0-9]{1,18}")
# A quoted string, a separator, or the text between them.
_PIECES = re.compile(r'"(?:[^"\\]|\\.)*"|[,;]|[^",;]+|"')
# Characters of a Prefer line that are parsed.
_PREFER_LENGTH = 1000


def value_of(headers: Headers, name: bytes) -> str | None:
    """Return the first value of a header whose name is given in lower case; None without it.

    `Headers.get` raises and catches an exception for each header that a request does not have.
    """
    for known, value in headers.raw:
        if known == name:
            return value.decode("latin-1")
    return None


def credentials(headers: Headers) -> tuple[str, str]:
    """Return the scheme of Authorization in lower case and its value; two empty strings without the header."""
    scheme, _, value = (value_of(headers, b"authorization") or "").strip().partition(" ")
    return scheme.lower(), value.strip()


def media_type(headers: Headers) -> str:
    """Return the media type of the body in lower case, without parameters."""
    return (value_of(headers, b"content-type") or "").partition(";")[0].strip().lower()


def declared_length(headers: Headers) -> int | None:
    """Return the Content-Length; None without a valid number."""
    value = (value_of(headers, b"content-length") or "").strip()
    return int(value) if _LENGTH.fullmatch(value) else None


def host_of(value: str) -> str | None:
    """Return the host of `host` or `host:port` in lower case, an IPv6 address without brackets; None if malformed."""
    found = _HOST.fullmatch(value)
    return None if found is None else found[1].strip("[]").lower()


def preferred_wait(headers: Headers, limit: float) -> float:
    """Return the seconds of the preference `wait`, at most `limit`; 0 without the preference.

    An invalid preference is ignored. The first `wait` of all Prefer lines counts (RFC 7240).
    """
    if value_of(headers, b"prefer") is None:
        return 0.0
    for line in headers.getlist("prefer"):
        for preference in _preferences(line[:_PREFER_LENGTH]):
            name, _, value = (part.strip() for part in preference.partition("="))
            if name.lower() == "wait":
                found = re.fullmatch('([0-9]{1,9})|"([0-9]{1,9})"', value)
                return min(float(found[1] or found[2]), limit) if found else 0.0
    return 0.0


def _preferences(line: str) -> Iterator[str]:
    """Yield each `name=value` of a Prefer line without its parameters."""
    found, in_parameters = "", False
    for piece in _PIECES.findall(line):
        if piece == ",":
            yield found
            found, in_parameters = "", False
        elif piece == ";":
            in_parameters = True
        elif not in_parameters:
            found += piece
    yield found


def wants_openmetrics(accept: str) -> bool:
    """Return whether an Accept header prefers OpenMetrics 1.0.0 to Prometheus text."""
    best = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for entry in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in entry.split(";"))
        given = dict(part.partition("=")[::2] for part in parameters)
        if kind in best and given.get("version", "1.0.0") in {"1.0.0", "0.0.4"}:
            best[kind] = max(best[kind], _quality(given.get("q", "1")))
    return best["application/openmetrics-text"] > 0 and best["application/openmetrics-text"] >= best["text/plain"]


def _quality(value: str) -> float:
    return float(value) if re.fullmatch(r"[01](\.[0-9]{0,3})?", value) else 0.0
