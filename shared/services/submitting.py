"""Commands on jobs: submit, wait for the end, cancel; what every door of the gateway calls."""

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
)
from shared.api.fingerprint import digest, fingerprint
from shared.api.ids import is_id, new_id
from shared.api.requests import SubmitRequest
from shared.api.vocabulary import PRIORITIES
from shared.configuration.settings import SubmitSettings
from shared.services import allowed, servers
from shared.store.jobs import endings, records, submissions
from shared.store.redis.client import async_client

# How the job is handled, not what is run: these stay in its record.
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
    """What became of a submission; `rate_headers` tell of the rate limit when there is one."""

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
    """Accept a query, join it to one in flight, or answer it from the cache.

    `body` is what an Idempotency-Key stands for, as JSON; the request itself by default.

    Raises InvalidRequest, Forbidden or WebhookUrlRefused for what this deployment does not allow, IdempotencyMismatch,
    RateLimited, BudgetExhausted, QueueFull, or KeyRevoked.
    """
    submission = await prepare(
        request, request_id=request_id, caller=caller, idempotency_key=idempotency_key, settings=settings
    )
    if idempotency_key and body is not None:
        submission = submission._replace(body=digest(body))
    answer = await submissions.submit(async_client(settings.redis_address), submission)
    headers = rate_headers(answer.left, answer.reset, settings)
    refuse(answer.kind, answer.reset, headers, settings)
    return Submitted(answer, headers)


async def recall(
    body: Any, *, request_id: str, caller: str, idempotency_key: str, settings: SubmitSettings
) -> submissions.Answer | None:
    """Return what an Idempotency-Key was answered first; None when it is new. Raises IdempotencyMismatch."""
    name = _key_record(caller, idempotency_key)
    client = async_client(settings.redis_address)
    answer = await submissions.recall(client, request_id=request_id, idempotency=name, body=digest(body))
    if answer is not None:
        refuse(answer.kind, answer.reset, {}, settings)
    return answer


def normalized(request: SubmitRequest) -> dict[str, Any]:
    """Return a request as its idempotency compares it: a field with its default value is as good as none."""
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
    """Hold a request against what this deployment allows, and write it as the store takes it.

    `until` bounds what the requests of a batch take together. Raises InvalidRequest, Forbidden or WebhookUrlRefused.
    """
    until = until or allowed.until_from_now()
    await allowed.check(request, settings, caller, until)
    host = ""
    if request.webhook_url:
        host = await allowed.webhook_host(request.webhook_url, caller, settings, until.names)
    return _submission(request, request_id, caller, idempotency_key, settings, host)


def refuse(kind: str, reset: int, headers: dict[str, str], settings: SubmitSettings) -> None:
    """Raise what the store's refusal of a submission, or of a batch, means to a client; `reset` in ms."""
    match kind:
        case "full":
            raise QueueFull(
                f"MAX_QUEUE_DEPTH = {settings.max_queue_depth} jobs are waiting; try again later",
                headers={"Retry-After": "5", **headers},
            )
        case "limited":
            raise RateLimited(
                "RATE_LIMIT is reached; Retry-After says when to go on",
                headers={"Retry-After": str(_seconds(reset)), **headers},
            )
        case "broke":
            raise BudgetExhausted(
                f"DAILY_BUDGET_USD = {settings.daily_budget_usd:g} is spent; the next day begins at midnight UTC",
                headers={"Retry-After": str(_seconds(reset)), **headers},
            )
        case "mismatch":
            raise IdempotencyMismatch(
                "Idempotency-Key was used with another body in the last 24 hours; use a new key for a new request"
            )
        case "revoked":
            raise KeyRevoked
        case "no_credential":
            message = "should name a credential of the kind anthropic_api_key; PUT /api/credentials/{name} stores one"
            raise InvalidRequest(f"credential: {message}", errors=(FieldError("/credential", message),))
        case _:
            pass


async def at_end(job_id: str, seconds: float, *, caller: str, settings: SubmitSettings) -> records.StoredJob | None:
    """Return the job of a submission when it has ended, or as it stands after so many seconds."""
    return await endings.read_at_end(async_client(settings.redis_address), job_id, caller, seconds)


async def cancel(job_id: str, *, caller: str, settings: SubmitSettings) -> records.StoredJob:
    """Cancel one of the caller's jobs; raises NotFound, or AlreadyFinished when its end came first."""
    client = async_client(settings.redis_address)
    outcome = "missing"
    if is_id(job_id):
        outcome = await records.cancel(client, job_id, caller, keep_for=settings.result_ttl)
    if outcome == "finished":
        raise AlreadyFinished("It had ended when the request came, and stays as it is")
    job = await records.read(client, job_id, caller) if outcome == "cancelled" else None
    if job is None:
        raise NotFound("There is no such job")
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
        # Of the caller's own, since nobody else's is where the worker looks.
        # A new one has the id of the job that it begins with.
        kept = job_id if request.fork or not request.session_id else request.session_id
        decisive["conversation"] = {"id": kept, "from": request.session_id}
    timeout = request.timeout_ms or settings.claude_timeout
    # What a tool does or sees is never the same twice, unless a server's entry says so; and a conversation goes on.
    may_share = not request.tools and chosen.cacheable and "conversation" not in decisive
    name = ""
    if may_share and (settings.cache_ttl or settings.dedup_enabled):
        effective = {"model": settings.claude_model, "maxBudgetUsd": settings.max_budget_usd, **decisive}
        # What the demo model answered is never given out as Claude's.
        effective |= {"demoModel": True} if settings.demo_model else {}
        effective |= {"mcpDigests": chosen.digests} if chosen.servers else {}
        effective.pop("textFormat", None)  # told again, and no part of what is run
        name = fingerprint(caller, {**effective, "timeoutMs": timeout})
    mode = request.cache.mode
    ttl = settings.cache_ttl if request.cache.ttl is None else request.cache.ttl
    rate, seconds = settings.rate_limit or (0, 0)
    return submissions.Submission(
        job_id=job_id,
        request_id=request_id,
        caller=caller,
        priority=PRIORITIES.index(request.priority),
        timeout=timeout,
        request=_text(decisive),
        metadata=_text(request.metadata) if request.metadata else "",
        max_waiting=settings.max_queue_depth,
        fingerprint=name,
        read_cache=settings.cache_ttl > 0 and mode == "default",
        join=settings.dedup_enabled and mode == "default",
        joinable=settings.dedup_enabled and mode != "bypass",
        cache_ttl=ttl if settings.cache_ttl and mode != "bypass" else 0,
        idempotency=_key_record(caller, idempotency_key) if idempotency_key else "",
        body=digest(normalized(request)) if idempotency_key else "",
        rate=rate,
        window=seconds * 1000,
        hook=request.webhook_url or "",
        host=host,
        mcp=chosen.to_json(),
        budget=settings.daily_budget_usd or 0,
        credential=request.credential or "",
        talk="" if request.fork else request.session_id or "",
    )


def _key_record(caller: str, idempotency_key: str) -> str:
    return submissions.idempotency_record(caller, digest(["POST /api/query", idempotency_key]))


def _text(value: Any) -> str:
    return to_json(value).decode()


def _seconds(milliseconds: int) -> int:
    return max(1, -(-milliseconds // 1000))


def rate_headers(left: int, reset: int, settings: SubmitSettings) -> dict[str, str]:
    """Tell of the rate limit in the fields of the IETF's draft; `reset` in ms."""
    if settings.rate_limit is None or left < 0:
        return {}
    most, seconds = settings.rate_limit
    return {
        "RateLimit-Policy": f'"caller";q={most};w={seconds}',
        "RateLimit": f'"caller";r={left};t={_seconds(reset)}',
    }
