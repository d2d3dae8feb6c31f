"""Every error that a client can be told, each with its HTTP status and its code.

    GatewayError
    ├── MalformedJson 400          ├── PayloadTooLarge 413
    ├── NotFound 404               ├── InvalidRequest 422
    ├── MethodNotAllowed 405       ├── QueueFull 503
    ├── UnsupportedMediaType 415   └── Unavailable 503

The codes are those of the API's error table; `shared.http.problems` turns an error into problem+json.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field; `pointer` is an RFC 6901 pointer into the body, such as `/priority`."""

    pointer: str
    message: str


class GatewayError(Exception):
    """An answer other than the one asked for; subclasses fix status, code and title."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "The gateway made a mistake"

    def __init__(
        self, detail: str, *, errors: tuple[FieldError, ...] = (), headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}


class MalformedJson(GatewayError):
    """The body is not JSON."""

    status, code, title = 400, "malformed_json", "The body is not valid JSON"


class NotFound(GatewayError):
    """No such thing, or it belongs to another caller: the two look the same."""

    status, code, title = 404, "not_found", "Not found"


class MethodNotAllowed(GatewayError):
    """The path exists, with other methods; `Allow` names them."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"


class PayloadTooLarge(GatewayError):
    """The body is larger than MAX_BODY_BYTES."""

    status, code, title = 413, "payload_too_large", "The body is too large"


class UnsupportedMediaType(GatewayError):
    """The body is not declared as JSON."""

    status, code, title = 415, "unsupported_media_type", "Unsupported media type"


class InvalidRequest(GatewayError):
    """One or more fields are wrong; `errors` names each."""

    status, code, title = 422, "invalid_request", "The request is not valid"


class QueueFull(GatewayError):
    """MAX_QUEUE_DEPTH jobs are waiting already."""

    status, code, title = 503, "queue_full", "The queue is full"


class Unavailable(GatewayError):
    """Redis is away, or refuses to write."""

    status, code, title = 503, "unavailable", "The gateway cannot do this now"
