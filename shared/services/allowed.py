"""Check, within a time limit, that this deployment allows a well-formed request."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from shared.api.errors import FieldError, Forbidden, InvalidRequest, WebhookUrlRefused
from shared.api.policies import NO_POLICY, Policy
from shared.api.requests import NetworkAccess, SubmitRequest
from shared.configuration.settings import SubmitSettings
from shared.egress import hosts, targets
from shared.egress.repositories import repository_of

# A name that takes longer to resolve counts as one that does not resolve; s.
_RESOLVE_WITHIN = 2.0
# Time limit for checking all schemas of a request, including the wait for a process; s.
ALL_WITHIN = 15.0
# The furthest start of a job, in days.
LATEST_START = 366


class Until(NamedTuple):
    """Deadlines of a request or batch for resolving names and for checking schemas, in the event loop's time."""

    names: float
    schemas: float


def until_from_now() -> Until:
    """Return the deadlines of a request, or of all queries of a batch together."""
    now = asyncio.get_running_loop().time()
    return Until(now + _RESOLVE_WITHIN, now + ALL_WITHIN)


async def webhook_host(url: str, caller: str, settings: SubmitSettings, until: float) -> str:
    """Return the target of a webhook's URL; raises WebhookUrlRefused if it is not allowed.

    A name that does not resolve yet is accepted, because each delivery attempt checks the address again.
    """
    try:
        target = targets.parse(url)
        with suppress(OSError, UnicodeError):  # a timeout is an OSError
            targets.check(await targets.resolve(target, caller, until), settings.webhook_allowed_networks)
    except targets.EgressRefused as refusal:
        error = FieldError("/webhookUrl", str(refusal))
        raise WebhookUrlRefused(f"webhookUrl: {refusal}", errors=(error,)) from None
    return str(target)


async def _problem_of(schema: dict[str, Any] | None, caller: str, until: float) -> FieldError | None:
    if schema is None:
        return None
    # Imported here, because few requests need it and a cold start should not pay for it.
    from shared.json_schema import checking  # noqa: PLC0415

    problem = await checking.problem_of(schema, caller=caller, until=until)
    if problem is None:
        return None
    where = f", at {problem.place}" if problem.place else ""
    return FieldError(f"/outputSchema{problem.place}", problem.message + where)


def _unknown(kind: str, named: list[str], known: Collection[str]) -> list[FieldError]:
    unknown = sorted({name for name in named if name not in known})
    if not unknown:
        return []
    there = ", ".join(sorted(known)) or "none"
    return [FieldError(f"/{kind}s", f"unknown {kind}: {', '.join(unknown)} (known: {there})")]


def _name_problems(request: SubmitRequest, settings: SubmitSettings) -> list[FieldError]:
    # The settings are read for a name only: pydantic finds a private attribute in Python, after everything else.
    agents = _unknown("agent", request.agents, settings.agents) if request.agents else []
    skills = _unknown("skill", request.skills, settings.skills) if request.skills else []
    return agents + skills


def _approval_problems(request: SubmitRequest, settings: SubmitSettings) -> list[FieldError]:
    if request.approval is None or request.approval.timeout_ms <= settings.session_ttl * 1000:
        return []
    return [FieldError("/approval/timeoutMs", f"should be at most SESSION_TTL = {settings.session_ttl} s")]


def _model_problems(request: SubmitRequest, settings: SubmitSettings) -> list[FieldError]:
    if not settings.claude_models:
        return []
    models = {f"/fallbackModels/{number}": model for number, model in enumerate(request.fallback_models)}
    if request.model:
        models = {"/model": request.model, **models}
    message = f"should be one of CLAUDE_MODELS: {', '.join(settings.claude_models)}"
    refused = [place for place, model in models.items() if model not in settings.claude_models]
    return [FieldError(place, message) for place in refused]


def _check_hosts(request: SubmitRequest, settings: SubmitSettings) -> None:
    """Raise Forbidden for hosts that are not among those of the deployment."""
    if request.network is None:
        return
    named = enumerate(request.network.allowed_hosts)
    refused = [(number, host) for number, host in named if not hosts.covers(settings.run_allowed_hosts, host)]
    if refused:
        message = "is not among RUN_ALLOWED_HOSTS"
        first = refused[0][1] + (f" and {len(refused) - 1} more" if len(refused) > 1 else "")
        raise Forbidden(
            f"network.allowedHosts: not among RUN_ALLOWED_HOSTS: {first}",
            errors=tuple(
                FieldError(f"/network/allowedHosts/{number}", f"{host} {message}") for number, host in refused
            ),
        )


def apply_policy(request: SubmitRequest, policy: Policy, settings: SubmitSettings) -> SubmitRequest:
    """Return a request with the defaults of its caller's policy; raises Forbidden, with every field that it refuses."""
    if policy is NO_POLICY:
        return request
    models = {f"/fallbackModels/{place}": [name] for place, name in enumerate(request.fallback_models)}
    models["/model"] = [request.model] if request.model else []
    refused = {
        "models": _outside(policy.models, models),
        "tools": _outside(policy.tools, {"/tools": request.tools}),
        "agents": _outside(policy.agents, {"/agents": request.agents}),
        "skills": _outside(policy.skills, {"/skills": request.skills}),
        "mcpServers": _outside(policy.mcp_servers, {"/mcpServers": request.mcp_servers or []}),
    }
    allowed = policy.allowed_hosts
    refused["allowedHosts"] = [
        place for host, place in _hosts_of(request).items() if not (allowed is None or hosts.covers(allowed, host))
    ]
    errors = [
        FieldError(place, f"not among {limit} of the caller's policy")
        for limit, places in refused.items()
        for place in places
    ]
    changes: dict[str, Any] = {}
    if policy.models and request.model is None and settings.claude_model not in policy.models:
        of_both = (name for name in policy.models if not settings.claude_models or name in settings.claude_models)
        changes["model"] = next(of_both, policy.models[0])
    if policy.allowed_hosts is not None and request.network is None and request.tools:
        common = hosts.common(policy.allowed_hosts, settings.run_allowed_hosts)
        # Not validated again: a deployment may have more hosts than a request may name.
        changes["network"] = NetworkAccess.model_construct(allowedHosts=common)  # type: ignore[call-arg]
    if policy.highest(request.priority) != request.priority:
        if "priority" in request.model_fields_set:
            errors.append(FieldError("/priority", f"above maxPriority = {policy.max_priority} of the caller's policy"))
        changes["priority"] = policy.max_priority
    if policy.max_budget_usd is not None:
        if request.max_budget_usd and request.max_budget_usd > policy.max_budget_usd:
            message = f"above maxBudgetUsd = {policy.max_budget_usd:g} of the caller's policy"
            errors.append(FieldError("/maxBudgetUsd", message))
        if request.max_budget_usd is None:
            changes["max_budget_usd"] = min(policy.max_budget_usd, settings.max_budget_usd or policy.max_budget_usd)
    if errors:
        detail = "; ".join(f"{error.pointer.split('/')[1]}: {error.message}" for error in errors)
        raise Forbidden(detail, errors=tuple(errors))
    return request.model_copy(update=changes) if changes else request


def _hosts_of(request: SubmitRequest) -> dict[str, str]:
    """Return the hosts that a request names, with the first place of each."""
    found: dict[str, str] = {}
    for number, host in enumerate(request.network.allowed_hosts if request.network else ()):
        found.setdefault(host, f"/network/allowedHosts/{number}")
    if request.workspace:
        found.setdefault(repository_of(request.workspace.git.url).target.host, "/workspace/git/url")
    return found


def _outside(allowed: Sequence[str] | None, named: dict[str, list[str]]) -> list[str]:
    """Return the places that name something that is not allowed."""
    return [place for place, names in named.items() if allowed is not None and not set(names) <= set(allowed)]


async def check(
    request: SubmitRequest, settings: SubmitSettings, caller: str, until: Until, *, known_schema: bool = False
) -> None:
    """Raise Forbidden or InvalidRequest, with every refused field, if this deployment does not allow a request.

    Raises Unavailable when its schema cannot be checked at present.
    """
    schema_problem = None if known_schema else await _problem_of(request.output_schema, caller, until.schemas)
    refused = [tool for tool in request.tools if tool not in settings.claude_tools]
    if refused:
        raise Forbidden(
            f"tools: not among CLAUDE_TOOLS ({', '.join(settings.claude_tools) or 'none are allowed'})",
            errors=(FieldError("/tools", f"{len(refused)} of these tools are not allowed"),),
        )
    _check_hosts(request, settings)
    errors = []
    if len(request.query.encode()) > settings.max_query_bytes:
        errors.append(
            FieldError("/query", f"should have at most MAX_QUERY_BYTES = {settings.max_query_bytes} bytes of UTF-8")
        )
    errors += _model_problems(request, settings)
    errors += _name_problems(request, settings)
    if request.timeout_ms and request.timeout_ms > settings.claude_timeout:
        errors.append(FieldError("/timeoutMs", f"should be at most CLAUDE_TIMEOUT = {settings.claude_timeout}"))
    if request.max_budget_usd and settings.max_budget_usd and request.max_budget_usd > settings.max_budget_usd:
        errors.append(FieldError("/maxBudgetUsd", f"should be at most MAX_BUDGET_USD = {settings.max_budget_usd:g}"))
    errors += _approval_problems(request, settings)
    if request.run_at and request.run_at > datetime.now(UTC) + timedelta(days=LATEST_START):
        errors.append(FieldError("/runAt", "should be at most a year from now"))
    if request.fork and request.session_id is None:
        errors.append(FieldError("/fork", "requires sessionId"))
    if schema_problem:
        errors.append(schema_problem)
    if errors:
        detail = "; ".join(f"{error.pointer.split('/')[1]}: {error.message}" for error in errors)
        raise InvalidRequest(detail, errors=tuple(errors))
