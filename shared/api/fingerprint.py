"""The fingerprint of a request: a digest of everything that can change the answer."""

import json
from typing import Any

from shared import digests

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def canonical(value: Any) -> bytes:
    """Write JSON in its canonical form: sorted keys, no spaces, UTF-8."""
    return _encode(value).encode()


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value's canonical form, in hexadecimal."""
    return digests.of_bytes(canonical(value))


def shared_form(caller: str, decisive: dict[str, Any]) -> bytes:
    """Return what the fingerprint of a request is the digest of, in its caller's namespace.

    `decisive` is the request for the worker, with its limits and the defaults of this deployment. Two callers never
    share an answer.
    """
    return canonical({"caller": caller, "request": decisive})
