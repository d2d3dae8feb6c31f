"""Translate a request that this deployment allows into a submission of the store."""

from typing import Any

from pydantic_core import to_json

from shared import digests
from shared.api.fingerprint import digest, shared_form
from shared.api.ids import new_id
from shared.api.job_files import MAX_ATTACHED
from shared.api.policies import NO_POLICY, Policy
from shared.api.requests import SubmitRequest
from shared.api.vocabulary import PRIORITIES
from shared.configuration.settings import SubmitSettings
from shared.services import allowed, job_files, servers, templates
from shared.store.callers import policies, usage
from shared.store.jobs import submissions
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
    policy = policy or await policies.of(async_client(settings.redis_address), caller)
    # The router decides by the query, and a policy by everything.
    key = templates.key_of(request, caller) if policy is NO_POLICY and not settings.mcp_enabled else None
    template = templates.find(key, settings) if key else None
    submission = template.filled(request.query, request_id) if template else None
    if submission is None:
        until = until or allowed.until_from_now()
        allowed_request = allowed.apply_policy(request, policy, settings)
        await allowed.check(allowed_request, settings, caller, until, known_schema=known_schema)
        host = ""
        if request.webhook_url:
            host = await allowed.webhook_host(request.webhook_url, caller, settings, until.names)
        chosen = await servers.choose(allowed_request, settings, policy.mcp_servers)
        submission, form = _submission(allowed_request, request_id, caller, settings, policy, host, chosen)
        if key and template is None:
            templates.keep(key, templates.Template(submission, form, request.query, settings))
    if idempotency_key:
        submission.idempotency = key_record(caller, idempotency_key)
        # Idempotency compares what the client has sent: the policy may change before the client sends it again.
        submission.body = digest(normalized(request))
    return submission


def _submission(
    request: SubmitRequest,
    request_id: str,
    caller: str,
    settings: SubmitSettings,
    policy: Policy,
    host: str,
    chosen: servers.Chosen,
) -> tuple[submissions.Submission, bytes]:
    """Return a submission, and the form of the request that its fingerprint is the digest of; empty for none."""
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
    form = b""
    if may_share and (settings.cache_ttl or settings.dedup_enabled):
        effective = {"model": settings.claude_model, "maxBudgetUsd": settings.max_budget_usd, **decisive}
        # An answer of the demo model is never returned as an answer of Claude.
        effective |= {"demoModel": True} if settings.demo_model else {}
        effective |= {"mcpDigests": chosen.digests} if chosen.servers else {}
        effective.pop("textFormat", None)  # returned in the status, not part of the run
        effective.pop("network", None)  # only tools use the network, and a job with tools shares nothing
        # The store adds the contents, by their hashes: two ids may name the same content.
        effective |= job_files.decisive(request)
        form = shared_form(caller, {**effective, "timeoutMs": timeout})
    mode = request.cache.mode
    at_once = request.run_at is None
    ttl = settings.cache_ttl if request.cache.ttl is None else request.cache.ttl
    files = job_files.named(request)
    submission = submissions.Submission(
        job_id=job_id,
        request_id=request_id,
        caller=caller,
        priority=PRIORITIES.index(request.priority),
        timeout_ms=timeout,
        request=_text(decisive),
        metadata=_text(request.metadata) if request.metadata else "",
        fingerprint=digests.of_bytes(form) if form else "",
        # A job for later runs then: it is neither answered nor joined before.
        read_cache=at_once and settings.cache_ttl > 0 and mode == "default",
        join=at_once and settings.dedup_enabled and mode == "default",
        joinable=at_once and settings.dedup_enabled and mode != "bypass",
        cache_ttl=ttl if settings.cache_ttl and mode != "bypass" else 0,
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
        files=files,
        max_attached=MAX_ATTACHED if files else 0,
        trace=context.current_text(),
    )
    return submission, form


def key_record(caller: str, idempotency_key: str) -> str:
    """Return the name of the record of an Idempotency-Key of a caller."""
    return submissions.idempotency_record(caller, digest(["POST /api/query", idempotency_key]))


def _text(value: Any) -> str:
    return to_json(value).decode()
