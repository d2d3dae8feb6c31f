"""Submit, wait for and cancel jobs: the operations that all APIs of the gateway share."""

from dataclasses import dataclass
from typing import Any, Protocol

from pydantic_core import to_json

from shared.api.errors import (
    AlreadyFinished,
    NotFound,
)
from shared.api.fingerprint import digest, fingerprint
from shared.api.ids import is_id, new_id
from shared.api.job_files import MAX_ATTACHED
from shared.api.policies import NO_POLICY, Policy
from shared.api.requests import SubmitRequest
from shared.api.vocabulary import PRIORITIES
from shared.configuration.settings import SubmitSettings
from shared.services import allowed, job_files, limits, servers
from shared.store.callers import policies, usage
from shared.store.jobs import endings, records, submissions
from shared.store.redis.client import async_client
from shared.tracing import context

# Fields about the handling of a job, which are in its record. The worker does not need them.
_NOT_FOR_THE_WORKER = {
    "priority",
    "run_at",
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


class Answer(Protocol):
    """The store's answer to a submission, a batch or a run of a schedule; times in ms."""

    @property
    def kind(self) -> str:
        """What has become of it: accepted, or the limit that refuses it."""

    @property
    def left(self) -> int:
        """Submissions that the rate limit leaves."""

    @property
    def reset(self) -> int:
        """The time until all are left again, or until the next may come."""


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
    IdempotencyMismatch, RateLimited, BudgetExhausted, CallerQueueFull, CallerStorageFull, QueueFull,
    SandboxUnavailable or KeyRevoked.
    """
    client = async_client(settings.redis_address)
    policy = await policies.of(client, caller)
    submission = await prepare(
        request,
        request_id=request_id,
        caller=caller,
        idempotency_key=idempotency_key,
        settings=settings,
        policy=policy,
    )
    if idempotency_key and body is not None:
        submission.body = digest(body)
    applied = limits.of(caller, policy, settings)
    answer = await submissions.submit(client, submission, applied)
    return Submitted(answer, accepted(answer, answer.job_id, request, applied, policy))


def accepted(
    answer: Answer, place: str, request: SubmitRequest, applied: submissions.Limits, policy: Policy
) -> dict[str, str]:
    """Return the headers of the rate limit; raises the error of a request that the store has refused.

    `place` is the id of the job or batch, or what the store names instead when it refuses a file or a credential.
    """
    headers = limits.rate_headers(answer.left, answer.reset, applied)
    if answer.kind in submissions.ACCEPTED:
        return headers
    job_files.refuse(answer.kind, place, request)
    limits.refuse_servers(answer.kind, place)
    limits.refuse(answer.kind, answer.reset, headers, applied, policy)
    return headers


async def recall(
    body: Any, *, request_id: str, caller: str, idempotency_key: str, settings: SubmitSettings
) -> submissions.Answer | None:
    """Return the first answer under an Idempotency-Key; None for a new key. Raises IdempotencyMismatch."""
    name = _key_record(caller, idempotency_key)
    client = async_client(settings.redis_address)
    answer = await submissions.recall(client, request_id=request_id, idempotency=name, body=digest(body))
    if answer is not None:
        limits.refuse(answer.kind, answer.reset, {}, submissions.UNLIMITED, NO_POLICY)
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
    policy: Policy | None = None,
    until: allowed.Until | None = None,
    known_schema: bool = False,
) -> submissions.Submission:
    """Check that this deployment allows a request, and translate it into a submission of the store.

    The policy is that of the caller, read here by default. The requests of a batch share one `until`; a `known_schema`
    was checked before. Raises InvalidRequest, Forbidden or WebhookUrlRefused.
    """
    until = until or allowed.until_from_now()
    policy = policy or await policies.of(async_client(settings.redis_address), caller)
    sent = request
    request = allowed.apply_policy(request, policy, settings)
    await allowed.check(request, settings, caller, until, known_schema=known_schema)
    host = ""
    if request.webhook_url:
        host = await allowed.webhook_host(request.webhook_url, caller, settings, until.names)
    chosen = await servers.choose(request, settings, policy.mcp_servers)
    submission = _submission(request, request_id, caller, idempotency_key, settings, policy, host, chosen)
    if idempotency_key:
        # Idempotency compares what the client has sent: the policy may change before the client sends it again.
        submission.body = digest(normalized(sent))
    return submission


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
    policy: Policy,
    host: str,
    chosen: servers.Chosen,
) -> submissions.Submission:
    decisive = request.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=_NOT_FOR_THE_WORKER)
    job_id = new_id()
    if chosen.servers:
        decisive["mcpServers"] = chosen.servers
    if policy.models:
        decisive["models"] = policy.models
    if request.session or request.session_id:
        # A new session has the id of its first job. The worker looks for sessions of the caller only.
        session_id = job_id if request.fork or not request.session_id else request.session_id
        decisive["conversation"] = {"id": session_id, "from": request.session_id}
    timeout = request.timeout_ms or settings.claude_timeout
    # Tools may return something else each time, unless the entry of their server is `cacheable`; sessions continue.
    # A branch has another commit tomorrow.
    # What waits for a decision may be decided in another way.
    asks = request.approval is not None or bool(settings.always_ask_tools and chosen.servers)
    uses_tools = bool(request.tools or request.agents or request.skills)
    may_share = not (uses_tools or asks) and chosen.cacheable and not {"conversation", "workspace"} & decisive.keys()
    name = ""
    if may_share and (settings.cache_ttl or settings.dedup_enabled):
        effective = {"model": settings.claude_model, "maxBudgetUsd": settings.max_budget_usd, **decisive}
        # An answer of the demo model is never returned as an answer of Claude.
        effective |= {"demoModel": True} if settings.demo_model else {}
        effective |= {"mcpDigests": chosen.digests} if chosen.servers else {}
        effective.pop("textFormat", None)  # returned in the status, not part of the run
        effective.pop("network", None)  # only tools use the network, and a job with tools shares nothing
        # The store adds the contents, by their hashes: two ids may name the same content.
        effective |= job_files.decisive(request)
        name = fingerprint(caller, {**effective, "timeoutMs": timeout})
    mode = request.cache.mode
    at_once = request.run_at is None
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
        # A job for later runs then: it is neither answered nor joined before.
        read_cache=at_once and settings.cache_ttl > 0 and mode == "default",
        join=at_once and settings.dedup_enabled and mode == "default",
        joinable=at_once and settings.dedup_enabled and mode != "bypass",
        cache_ttl=ttl if settings.cache_ttl and mode != "bypass" else 0,
        idempotency=_key_record(caller, idempotency_key) if idempotency_key else "",
        webhook_url=request.webhook_url or "",
        webhook_host=host,
        mcp=chosen.to_json(),
        credential=request.credential or "",
        git_credential=(request.workspace and request.workspace.git.credential) or "",
        header_credentials=chosen.credentials,
        names_servers=request.mcp_servers is not None,
        session_id="" if request.fork else request.session_id or "",
        sandbox=bool(uses_tools or request.files or request.workspace),
        label=usage.label(request.metadata.get(settings.usage_tag or "", "")),
        keep_request=request.keeps_request,
        run_at=0 if request.run_at is None else int(request.run_at.timestamp() * 1000),
        files=job_files.named(request),
        max_attached=MAX_ATTACHED,
        trace=context.current_text(),
    )


def _key_record(caller: str, idempotency_key: str) -> str:
    return submissions.idempotency_record(caller, digest(["POST /api/query", idempotency_key]))


def _text(value: Any) -> str:
    return to_json(value).decode()
