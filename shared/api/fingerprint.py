"""What makes two requests the same: a hash of everything that can change the answer."""

import json
from typing import Any

from shared import digests

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def canonical(value: Any) -> bytes:
    """Write JSON in one way only: keys sorted, no spaces, UTF-8."""
    return _encode(value).encode()


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value's canonical form, in hexadecimal."""
    return digests.of_bytes(canonical(value))


def fingerprint(caller: str, decisive: dict[str, Any]) -> str:
    """Return the fingerprint of a request in its caller's namespace.

    `decisive` is the request as the worker gets it, with its limits and with the defaults that this deployment
    fills in. Two callers never share an answer.
    """
    return digest({"caller": caller, "request": decisive})
