"""The errors of the API, each with its HTTP status and its code.

    GatewayError 500
    ├── MalformedJson 400
    ├── MalformedRequest 400
    ├── Unauthorized 401
    │   └── KeyRevoked 401
    ├── Forbidden 403
    ├── NotFound 404
    ├── MethodNotAllowed 405
    ├── RequestTimeout 408
    ├── AlreadyDecided 409
    ├── AlreadyFinished 409
    ├── NotFinished 409
    ├── NotRunning 409
    ├── TooManyMessages 409
    ├── TooManyCredentials 409
    ├── PayloadTooLarge 413
    ├── UnsupportedMediaType 415
    ├── RangeNotSatisfiable 416
    ├── IdempotencyMismatch 422
    ├── InvalidRequest 422
    │   ├── RefusedParameter 422
    │   └── RefusedThread 422
    ├── NoWebhook 422
    ├── SandboxUnavailable 422
    ├── WebhookUrlRefused 422
    ├── BudgetExhausted 429
    ├── CallerQueueFull 429
    ├── CallerStorageFull 429
    ├── RateLimited 429
    ├── HeadTooLarge 431
    ├── AnswerFailed 502
    ├── QueueFull 503
    └── Unavailable 503

`shared.http.problems` writes an error as problem+json, `shared.http.compat` in the form of another product's API.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """The error of one field; `pointer` is an RFC 6901 pointer into the body, such as `/priority`."""

    pointer: str
    message: str


class GatewayError(Exception):
    """An error response; subclasses define status, code and title."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: str = "Internal server error"

    def __init__(
        self, detail: str, *, errors: tuple[FieldError, ...] = (), headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}


class MalformedJson(GatewayError):
    """The body is not valid JSON."""

    status, code, title = 400, "malformed_json", "Malformed JSON"


class MalformedRequest(GatewayError):
    """The client did not send an HTTP/1.1 request."""

    status, code, title = 400, "malformed_request", "Malformed request"


class RequestTimeout(GatewayError):
    """The client did not send the whole request in time."""

    status, code, title = 408, "request_timeout", "Request timeout"


class HeadTooLarge(GatewayError):
    """The request line or the header fields are too large, or there are too many fields."""

    status, code, title = 431, "head_too_large", "Request header fields too large"


class Unauthorized(GatewayError):
    """The credentials are missing or unknown; `WWW-Authenticate` names the scheme."""

    status, code, title = 401, "unauthorized", "API key required"


class KeyRevoked(Unauthorized):
    """The key was revoked, or expired, after the gateway accepted the request."""

    def __init__(self) -> None:
        super().__init__(
            "The API key is revoked or has expired", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}
        )


class Forbidden(GatewayError):
    """The caller has no permission, or the gateway does not serve the request's host."""

    status, code, title = 403, "forbidden", "Forbidden"


class NotFound(GatewayError):
    """The object does not exist or belongs to another caller. The error is the same for both."""

    status, code, title = 404, "not_found", "Not found"


class MethodNotAllowed(GatewayError):
    """The path does not have this method; `Allow` lists its methods."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"


class AlreadyDecided(GatewayError):
    """The call was decided before, its time is over, or its job has ended."""

    status = 409
    code = "already_decided"
    title = "Already decided"


class AlreadyFinished(GatewayError):
    """The job has already ended."""

    status, code, title = 409, "already_finished", "Job already finished"


class NotFinished(GatewayError):
    """The job, the batch or the presigned upload of the file has not ended yet."""

    status, code, title = 409, "not_finished", "Not finished"


class NotRunning(GatewayError):
    """The job does not run, so that it takes no message: it waits, its run is at its end, or it has ended."""

    status, code, title = 409, "not_running", "Job not running"


class TooManyMessages(GatewayError):
    """The job has as many messages as it can have."""

    status, code, title = 409, "too_many_messages", "Too many messages"


class TooManyCredentials(GatewayError):
    """The caller has as many credentials as it can have."""

    status, code, title = 409, "too_many_credentials", "Too many credentials"


class PayloadTooLarge(GatewayError):
    """The body is larger than MAX_BODY_BYTES, or a file larger than MAX_FILE_BYTES."""

    status, code, title = 413, "payload_too_large", "Payload too large"


class UnsupportedMediaType(GatewayError):
    """The `Content-Type` is not a JSON media type."""

    status, code, title = 415, "unsupported_media_type", "Unsupported media type"


class RangeNotSatisfiable(GatewayError):
    """The `Range` of the request begins after the end of the file; `Content-Range` has the file's size."""

    status, code, title = 416, "range_not_satisfiable", "Range not satisfiable"


class InvalidRequest(GatewayError):
    """One or more fields are invalid; `errors` has an entry for each."""

    status, code, title = 422, "invalid_request", "Invalid request"


class RefusedParameter(InvalidRequest):
    """One parameter of OpenAI's API is refused; has that API's code and the whole path of the parameter."""

    def __init__(self, name: str, why: str, openai_code: str = "unsupported_parameter") -> None:
        name = name[:200]  # sent by the client
        super().__init__(f"{name}: {why}", errors=(FieldError(name, why),))
        self.openai_code = openai_code


class RefusedThread(InvalidRequest):
    """A thread of Anthropic's API is refused; at these details its packages send the whole conversation instead."""

    details: ClassVar = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}

    def __init__(self, place: str) -> None:
        why = "not supported; send the whole conversation"
        super().__init__(f"{place}: {why}", errors=(FieldError(f"/{place}", why),))


class IdempotencyMismatch(GatewayError):
    """The Idempotency-Key was used before with another body."""

    status, code, title = 422, "idempotency_mismatch", "Invalid idempotency key reuse"


class NoWebhook(GatewayError):
    """No submission of the job has a webhook."""

    status, code, title = 422, "no_webhook", "No webhook"


class WebhookUrlRefused(GatewayError):
    """The gateway does not send requests to the webhook's URL."""

    status, code, title = 422, "webhook_url_refused", "Webhook URL refused"


class SandboxUnavailable(GatewayError):
    """The job has built-in tools or files, and no live worker has a sandbox for them."""

    status, code, title = 422, "sandbox_unavailable", "No sandbox available"


class RateLimited(GatewayError):
    """The caller exceeds RATE_LIMIT; `Retry-After` has the seconds to wait."""

    status, code, title = 429, "rate_limited", "Too many requests"


class BudgetExhausted(GatewayError):
    """The caller has spent DAILY_BUDGET_USD; `Retry-After` has the seconds until the next day."""

    status, code, title = 429, "budget_exhausted", "Daily budget exhausted"


class CallerQueueFull(GatewayError):
    """As many jobs of the caller wait as CALLER_MAX_WAITING or its policy allows."""

    status, code, title = 429, "caller_queue_full", "Too many waiting jobs"


class CallerStorageFull(GatewayError):
    """The caller's jobs, results and sessions, or its files, fill a limit, which `detail` names."""

    status, code, title = 429, "caller_storage_full", "Caller storage full"


class AnswerFailed(GatewayError):
    """The job of a request that waits for its answer failed; the compat API's own status and type say how."""

    status, code, title = 502, "answer_failed", "No answer"

    def __init__(self, detail: str, job_code: str = "server_error", *, retryable: bool = False) -> None:
        # Both packages repeat a request after a 5xx unless this header forbids it.
        super().__init__(f"{job_code}: {detail}", headers={} if retryable else {"x-should-retry": "false"})
        self.job_code = job_code


class QueueFull(GatewayError):
    """MAX_QUEUE_DEPTH jobs are waiting."""

    status, code, title = 503, "queue_full", "Queue full"


class Unavailable(GatewayError):
    """Redis is unreachable or refuses the command, or too many connections are open; the title names the cause."""

    status, code, title = 503, "unavailable", "Service unavailable"

    def __init__(self, detail: str, *, title: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail, headers=headers)
        self.title = title or self.title
