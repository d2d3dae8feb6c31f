"""The header `Idempotency-Key` of routes that accept submissions."""

import re

from fastapi import Request

from shared.api.errors import FieldError, InvalidRequest
from shared.http.describe import header
from shared.http.headers import value_of

_KEY = "[!-~]{1,255}"
# Described for OpenAPI but read by the route, because FastAPI's parsing of headers is slow.
IDEMPOTENCY_KEY = header(
    "Idempotency-Key",
    "The same key and body within 24 h return the first answer.",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
)


def idempotency_key_in(request: Request) -> str | None:
    """Return the Idempotency-Key of a request, or None; raises InvalidRequest for a malformed key."""
    key = value_of(request.headers, b"idempotency-key")
    if key is not None and re.fullmatch(_KEY, key) is None:
        message = "should be 1 to 255 visible ASCII characters"
        raise InvalidRequest(f"Idempotency-Key: {message}", errors=(FieldError("/idempotency-key", message),))
    return key
