"""Every error that a client can be told, each with its HTTP status and its code.

    GatewayError
    ├── MalformedJson 400          ├── UnsupportedMediaType 415
    ├── MalformedRequest 400       ├── HeadTooLarge 431
    ├── RequestTimeout 408         │
    ├── Unauthorized 401           ├── InvalidRequest 422
    │   └── KeyRevoked             │
    ├── Forbidden 403              │   └── RefusedParameter
    ├── NotFound 404               ├── IdempotencyMismatch 422
    ├── MethodNotAllowed 405       ├── RateLimited 429
    ├── AlreadyFinished 409        ├── BudgetExhausted 429
    ├── NotFinished 409            ├── QueueFull 503
    ├── PayloadTooLarge 413        ├── Unavailable 503
    └── WebhookUrlRefused 422      └── NoWebhook 422

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
    title: str = "The gateway made a mistake"

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


class MalformedRequest(GatewayError):
    """The bytes that were sent are not HTTP/1.1."""

    status, code, title = 400, "malformed_request", "The request is malformed"


class RequestTimeout(GatewayError):
    """The client did not send its request in time."""

    status, code, title = 408, "request_timeout", "The request timed out"


class HeadTooLarge(GatewayError):
    """The request line and the header fields are too large, or the fields too many."""

    status, code, title = 431, "head_too_large", "The request header fields are too large"


class Unauthorized(GatewayError):
    """The request has no credentials, or unknown ones; `WWW-Authenticate` says how to send them."""

    status, code, title = 401, "unauthorized", "A key is needed"


class KeyRevoked(Unauthorized):
    """The key was revoked after the request had been accepted."""

    def __init__(self) -> None:
        super().__init__("The key is revoked", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


class Forbidden(GatewayError):
    """The caller may not do this, or the host of the request is not served."""

    status, code, title = 403, "forbidden", "Not allowed"


class NotFound(GatewayError):
    """No such thing, or it belongs to another caller: the two look the same."""

    status, code, title = 404, "not_found", "Not found"


class MethodNotAllowed(GatewayError):
    """The path exists, with other methods; `Allow` names them."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"


class AlreadyFinished(GatewayError):
    """The job has ended, so this can no longer be done."""

    status, code, title = 409, "already_finished", "The job has already finished"


class NotFinished(GatewayError):
    """The job or the batch has not ended yet."""

    status, code, title = 409, "not_finished", "The job has not finished"


class PayloadTooLarge(GatewayError):
    """The body is larger than MAX_BODY_BYTES."""

    status, code, title = 413, "payload_too_large", "The body is too large"


class UnsupportedMediaType(GatewayError):
    """The body is not declared as JSON."""

    status, code, title = 415, "unsupported_media_type", "Unsupported media type"


class InvalidRequest(GatewayError):
    """One or more fields are wrong; `errors` names each."""

    status, code, title = 422, "invalid_request", "The request is not valid"


class RefusedParameter(InvalidRequest):
    """The refusal of one parameter of OpenAI's API, with that API's code and the whole path of the parameter."""

    def __init__(self, name: str, why: str, openai_code: str = "unsupported_parameter") -> None:
        name = name[:200]  # what the client sent
        super().__init__(f"{name}: {why}", errors=(FieldError(name, why),))
        self.openai_code = openai_code


class IdempotencyMismatch(GatewayError):
    """The Idempotency-Key was used with another body."""

    status, code, title = 422, "idempotency_mismatch", "The Idempotency-Key was used for another request"


class NoWebhook(GatewayError):
    """No submission of the job has a webhook."""

    status, code, title = 422, "no_webhook", "The job has no webhook"


class WebhookUrlRefused(GatewayError):
    """The webhook's URL is not one that the gateway posts to."""

    status, code, title = 422, "webhook_url_refused", "The webhook URL is refused"


class RateLimited(GatewayError):
    """The caller sends more than RATE_LIMIT allows; `Retry-After` says when to go on."""

    status, code, title = 429, "rate_limited", "Too many requests"


class BudgetExhausted(GatewayError):
    """The caller has spent DAILY_BUDGET_USD; `Retry-After` says when the next day begins."""

    status, code, title = 429, "budget_exhausted", "The budget of the day is spent"


class QueueFull(GatewayError):
    """MAX_QUEUE_DEPTH jobs are waiting already."""

    status, code, title = 503, "queue_full", "The queue is full"


class Unavailable(GatewayError):
    """Redis cannot be reached or refuses the command, or too many connections are open; the title says which."""

    status, code, title = 503, "unavailable", "The gateway cannot do this now"

    def __init__(self, detail: str, *, title: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail, headers=headers)
        self.title = title or self.title
