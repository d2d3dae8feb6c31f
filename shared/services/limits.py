"""The limits of submissions: those that the store applies, and the errors of its refusals."""

from shared.api.errors import (
    BudgetExhausted,
    CallerQueueFull,
    CallerStorageFull,
    FieldError,
    IdempotencyMismatch,
    InvalidRequest,
    KeyRevoked,
    QueueFull,
    RateLimited,
    SandboxUnavailable,
)
from shared.api.policies import Policy
from shared.configuration.settings import SubmitSettings
from shared.store import keys
from shared.store.jobs import submissions


def of(caller: str, policy: Policy, settings: SubmitSettings) -> submissions.Limits:
    """Return the limits that the store applies to a caller's submission: those of its policy, else the deployment's."""
    rate, seconds = policy.rate or settings.rate_limit or (0, 0)
    # Without keys all clients are one caller: then only a limit that is set divides the queue.
    half = 0 if caller == keys.ANONYMOUS else max(1, settings.max_queue_depth // 2)
    return submissions.Limits(
        max_waiting=settings.max_queue_depth,
        caller_max_waiting=policy.max_waiting or settings.caller_max_waiting or half,
        caller_max_bytes=policy.max_bytes or settings.caller_max_bytes,
        rate=rate,
        window_ms=seconds * 1000,
        daily_budget_usd=policy.daily_budget_usd or settings.daily_budget_usd or 0,
    )


def refuse(kind: str, reset: int, headers: dict[str, str], limits: submissions.Limits, policy: Policy) -> None:
    """Raise the error for the store's refusal of a submission or batch; `reset` in ms."""
    _refuse_for_caller(kind, reset, headers, limits, policy)
    match kind:
        case "full":
            raise QueueFull(
                f"The queue is full: MAX_QUEUE_DEPTH = {limits.max_waiting} jobs are waiting. Try again later",
                headers={"Retry-After": "5", **headers},
            )
        case "mismatch":
            raise IdempotencyMismatch(
                "Invalid idempotency key reuse: the body differs from the first request with this Idempotency-Key. "
                "Use a new key for a new request"
            )
        case "no_sandbox":
            raise SandboxUnavailable(
                "tools, files, workspace: no live worker has a sandbox, which a run with built-in tools, files or a "
                "workspace needs; see RUN_SANDBOX"
            )
        case "revoked":
            raise KeyRevoked
        case "no_credential":
            message = "should name a credential of the kind anthropic_api_key; PUT /api/credentials/{name} stores one"
            raise InvalidRequest(f"credential: {message}", errors=(FieldError("/credential", message),))
        case "no_git_credential":
            message = "should name a credential of the kind git; PUT /api/credentials/{name} stores one"
            raise InvalidRequest(
                f"workspace.git.credential: {message}", errors=(FieldError("/workspace/git/credential", message),)
            )
        case _:
            pass


def refuse_servers(kind: str, credential: str) -> None:
    """Raise InvalidRequest when the store has refused the MCP servers that a request names."""
    if kind == "no_header_credential":
        message = f"need your credential {credential} of the kind header; PUT /api/credentials/{credential} stores it"
        raise InvalidRequest(f"mcpServers: {message}", errors=(FieldError("/mcpServers", message),))


def _refuse_for_caller(
    kind: str, reset: int, headers: dict[str, str], limits: submissions.Limits, policy: Policy
) -> None:
    def name(variable: str, field: str, own: object) -> str:
        return variable if own is None else f"{field} of the caller's policy"

    match kind:
        case "caller_full":
            limit = name("CALLER_MAX_WAITING", "maxWaiting", policy.max_waiting)
            raise CallerQueueFull(
                f"Too many waiting jobs of this caller: {limit} = {limits.caller_max_waiting}. Try again later",
                headers={"Retry-After": "5", **headers},
            )
        case "caller_bytes":
            limit = name("CALLER_MAX_BYTES", "maxBytes", policy.max_bytes)
            raise CallerStorageFull(
                f"The caller's jobs, results and sessions would hold more than {limit} = {limits.caller_max_bytes} "
                "bytes. Wait until finished jobs expire, or send a smaller query",
                headers={"Retry-After": "60", **headers},
            )
        case "limited":
            limit = name("RATE_LIMIT", "rateLimit", policy.rate_limit)
            raise RateLimited(
                f"Rate limit exceeded ({limit}). Wait for the seconds in Retry-After",
                headers={"Retry-After": str(_seconds(reset)), **headers},
            )
        case "broke":
            limit = name("DAILY_BUDGET_USD", "dailyBudgetUsd", policy.daily_budget_usd)
            raise BudgetExhausted(
                f"Daily budget exhausted: {limit} = {limits.daily_budget_usd:g}, reset at midnight UTC",
                headers={"Retry-After": str(_seconds(reset)), **headers},
            )
        case _:
            pass


def _seconds(milliseconds: int) -> int:
    return max(1, -(-milliseconds // 1000))


def rate_headers(left: int, reset: int, limits: submissions.Limits) -> dict[str, str]:
    """Return the rate limit in the header fields of the IETF's draft; `reset` in ms."""
    if limits.rate == 0 or left < 0:
        return {}
    return {
        "RateLimit-Policy": f'"caller";q={limits.rate};w={limits.window_ms // 1000}',
        "RateLimit": f'"caller";r={left};t={_seconds(reset)}',
    }
