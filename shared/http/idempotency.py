"""The header `Idempotency-Key`, as every route that accepts work reads it."""

import re

from fastapi import Request

from shared.api.errors import FieldError, InvalidRequest
from shared.http.describe import header

_KEY = "[!-~]{1,255}"
# Described and not declared: FastAPI takes as long to read two headers as all else that it does for a request.
IDEMPOTENCY_KEY = header(
    "Idempotency-Key",
    "The same key and body within 24 h get the first answer again.",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
)


def idempotency_key_in(request: Request) -> str | None:
    """Return a request's key, if it has one; raise InvalidRequest for one that cannot be."""
    key = request.headers.get("idempotency-key")
    if key is not None and re.fullmatch(_KEY, key) is None:
        message = "should be 1 to 255 visible characters of ASCII"
        raise InvalidRequest(f"Idempotency-Key: {message}", errors=(FieldError("/idempotency-key", message),))
    return key
