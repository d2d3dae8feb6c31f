"""Submit, wait for and cancel jobs: the operations that all APIs of the gateway share."""

from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from shared.api.errors import (
    AlreadyFinished,
    BudgetExhausted,
    FieldError,
    IdempotencyMismatch,
    InvalidRequest,
    KeyRevoked,
    NotFound,
    QueueFull,
    RateLimited,
    SandboxUnavailable,
)
from shared.api.fingerprint import digest, fingerprint
from shared.api.ids import is_id, new_id
from shared.api.job_files import MAX_ATTACHED
from shared.api.requests import SubmitRequest
from shared.api.vocabulary import PRIORITIES
from shared.configuration.settings import SubmitSettings
from shared.services import allowed, job_files, servers
from shared.store.jobs import endings, records, submissions
from shared.store.redis.client import async_client

# Fields about the handling of a job, which are in its record. The worker does not need them.
_NOT_FOR_THE_WORKER = {
    "priority",
    "metadata",
    "timeout_ms",
    "cache",
    "webhook_url",
    "mcp_servers",
    "session",
    "session_id",
    "fork",
    "custom_id",
}


@dataclass(frozen=True, slots=True)
class Submitted:
    """The answer to a submission; `rate_headers` describe the rate limit, if there is one."""

    answer: submissions.Answer
    rate_headers: dict[str, str]


async def submit(
    request: SubmitRequest,
    *,
    request_id: str,
    caller: str,
    idempotency_key: str | None,
    settings: SubmitSettings,
    body: Any = None,
) -> Submitted:
    """Accept a query, join it to an identical job in flight, or answer it from the cache.

    `body` is the content that an Idempotency-Key stands for, as JSON; the request by default.

    Raises InvalidRequest, Forbidden or WebhookUrlRefused if this deployment does not allow the request, and
    IdempotencyMismatch, RateLimited, BudgetExhausted, QueueFull, SandboxUnavailable or KeyRevoked.
    """
    submission = await prepare(
        request, request_id=request_id, caller=caller, idempotency_key=idempotency_key, settings=settings
    )
    if idempotency_key and body is not None:
        submission = submission._replace(body=digest(body))
    answer = await submissions.submit(async_client(settings.redis_address), submission, limits(settings))
    headers = rate_headers(answer.left, answer.reset, settings)
    job_files.refuse(answer.kind, answer.job_id, request)
    refuse(answer.kind, answer.reset, headers, settings)
    return Submitted(answer, headers)


async def recall(
    body: Any, *, request_id: str, caller: str, idempotency_key: str, settings: SubmitSettings
) -> submissions.Answer | None:
    """Return the first answer under an Idempotency-Key; None for a new key. Raises IdempotencyMismatch."""
    name = _key_record(caller, idempotency_key)
    client = async_client(settings.redis_address)
    answer = await submissions.recall(client, request_id=request_id, idempotency=name, body=digest(body))
    if answer is not None:
        refuse(answer.kind, answer.reset, {}, settings)
    return answer


def normalized(request: SubmitRequest) -> dict[str, Any]:
    """Return a request in the form in which idempotency compares it: without fields that have their default."""
    return request.model_dump(mode="json", by_alias=True, exclude_defaults=True)


async def prepare(
    request: SubmitRequest,
    *,
    request_id: str,
    caller: str,
    idempotency_key: str | None,
    settings: SubmitSettings,
    until: allowed.Until | None = None,
) -> submissions.Submission:
    """Check that this deployment allows a request, and translate it into a submission of the store.

    The requests of a batch share one `until`. Raises InvalidRequest, Forbidden or WebhookUrlRefused.
    """
    until = until or allowed.until_from_now()
    await allowed.check(request, settings, caller, until)
    host = ""
    if request.webhook_url:
        host = await allowed.webhook_host(request.webhook_url, caller, settings, until.names)
    return _submission(request, request_id, caller, idempotency_key, settings, host)


def limits(settings: SubmitSettings) -> submissions.Limits:
    """Return the limits of the deployment that the store applies."""
    rate, seconds = settings.rate_limit or (0, 0)
    return submissions.Limits(
        max_waiting=settings.max_queue_depth,
        rate=rate,
        window_ms=seconds * 1000,
        daily_budget_usd=settings.daily_budget_usd or 0,
    )


def refuse(kind: str, reset: int, headers: dict[str, str], settings: SubmitSettings) -> None:
    """Raise the error for the store's refusal of a submission or batch; `reset` in ms."""
    match kind:
        case "full":
            raise QueueFull(
                f"The queue is full: MAX_QUEUE_DEPTH = {settings.max_queue_depth} jobs are waiting. Try again later",
                headers={"Retry-After": "5", **headers},
            )
        case "limited":
            raise RateLimited(
                "Rate limit exceeded (RATE_LIMIT). Wait for the seconds in Retry-After",
                headers={"Retry-After": str(_seconds(reset)), **headers},
            )
        case "broke":
            raise BudgetExhausted(
                f"Daily budget exhausted: DAILY_BUDGET_USD = {settings.daily_budget_usd:g}, reset at midnight UTC",
                headers={"Retry-After": str(_seconds(reset)), **headers},
            )
        case "mismatch":
            raise IdempotencyMismatch(
                "Invalid idempotency key reuse: the body differs from the first request with this Idempotency-Key. "
                "Use a new key for a new request"
            )
        case "no_sandbox":
            raise SandboxUnavailable(
                "tools, files: no live worker has a sandbox, which a run with built-in tools or files needs; "
                "see RUN_SANDBOX"
            )
        case "revoked":
            raise KeyRevoked
        case "no_credential":
            message = "should name a credential of the kind anthropic_api_key; PUT /api/credentials/{name} stores one"
            raise InvalidRequest(f"credential: {message}", errors=(FieldError("/credential", message),))
        case _:
            pass


async def at_end(job_id: str, seconds: float, *, caller: str, settings: SubmitSettings) -> records.StoredJob | None:
    """Return the job of a submission when it has ended, or after this many seconds."""
    return await endings.read_at_end(async_client(settings.redis_address), job_id, caller, seconds)


async def cancel(job_id: str, *, caller: str, settings: SubmitSettings) -> records.StoredJob:
    """Cancel one of the caller's jobs; raises NotFound, or AlreadyFinished for a job that has ended."""
    client = async_client(settings.redis_address)
    outcome = "missing"
    if is_id(job_id):
        outcome = await records.cancel(client, job_id, caller, keep_for=settings.result_ttl)
    if outcome == "finished":
        raise AlreadyFinished("The job ended before the request arrived and is unchanged")
    job = await records.read(client, job_id, caller) if outcome == "cancelled" else None
    if job is None:
        raise NotFound("Job not found")
    return job


def _submission(
    request: SubmitRequest,
    request_id: str,
    caller: str,
    idempotency_key: str | None,
    settings: SubmitSettings,
    host: str,
) -> submissions.Submission:
    decisive = request.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=_NOT_FOR_THE_WORKER)
    chosen = servers.choose(request, settings)
    job_id = new_id()
    if chosen.servers:
        decisive["mcpServers"] = chosen.servers
    if request.session or request.session_id:
        # A new session has the id of its first job. The worker looks for sessions of the caller only.
        session_id = job_id if request.fork or not request.session_id else request.session_id
        decisive["conversation"] = {"id": session_id, "from": request.session_id}
    timeout = request.timeout_ms or settings.claude_timeout
    # Tools may return something else each time, unless the entry of their server is `cacheable`; sessions continue.
    may_share = not request.tools and chosen.cacheable and "conversation" not in decisive
    name = ""
    if may_share and (settings.cache_ttl or settings.dedup_enabled):
        effective = {"model": settings.claude_model, "maxBudgetUsd": settings.max_budget_usd, **decisive}
        # An answer of the demo model is never returned as an answer of Claude.
        effective |= {"demoModel": True} if settings.demo_model else {}
        effective |= {"mcpDigests": chosen.digests} if chosen.servers else {}
        effective.pop("textFormat", None)  # returned in the status, not part of the run
        # The store adds the contents, by their hashes: two ids may name the same content.
        effective |= job_files.decisive(request)
        name = fingerprint(caller, {**effective, "timeoutMs": timeout})
    mode = request.cache.mode
    ttl = settings.cache_ttl if request.cache.ttl is None else request.cache.ttl
    return submissions.Submission(
        job_id=job_id,
        request_id=request_id,
        caller=caller,
        priority=PRIORITIES.index(request.priority),
        timeout_ms=timeout,
        request=_text(decisive),
        metadata=_text(request.metadata) if request.metadata else "",
        fingerprint=name,
        read_cache=settings.cache_ttl > 0 and mode == "default",
        join=settings.dedup_enabled and mode == "default",
        joinable=settings.dedup_enabled and mode != "bypass",
        cache_ttl=ttl if settings.cache_ttl and mode != "bypass" else 0,
        idempotency=_key_record(caller, idempotency_key) if idempotency_key else "",
        body=digest(normalized(request)) if idempotency_key else "",
        webhook_url=request.webhook_url or "",
        webhook_host=host,
        mcp=chosen.to_json(),
        credential=request.credential or "",
        session_id="" if request.fork else request.session_id or "",
        sandbox=bool(request.tools or request.files),
        files=job_files.named(request),
        max_attached=MAX_ATTACHED,
    )


def _key_record(caller: str, idempotency_key: str) -> str:
    return submissions.idempotency_record(caller, digest(["POST /api/query", idempotency_key]))


def _text(value: Any) -> str:
    return to_json(value).decode()


def _seconds(milliseconds: int) -> int:
    return max(1, -(-milliseconds // 1000))


def rate_headers(left: int, reset: int, settings: SubmitSettings) -> dict[str, str]:
    """Return the rate limit in the header fields of the IETF's draft; `reset` in ms."""
    if settings.rate_limit is None or left < 0:
        return {}
    most, seconds = settings.rate_limit
    return {
        "RateLimit-Policy": f'"caller";q={most};w={seconds}',
        "RateLimit": f'"caller";r={left};t={_seconds(reset)}',
    }
