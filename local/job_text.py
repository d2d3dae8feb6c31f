"""Texts about a job: its state, why it waits, and how it ended."""

from typing import Any

from local.client import Body
from local.output import visible

# The `reason` codes of /health: why no waiting job starts.
_HOLDS = {
    "no_worker": "no worker is running",
    "paused": "the queue is paused by an operator",
    "authentication_failed": "Claude refuses the gateway's credentials",
    "billing_error": "Claude refuses the gateway's account",
    "rate_limited": "Claude limits the rate of requests",
    "redis": "the gateway's store is unavailable",
}
# The `waitingFor` codes of the status body: why this job waits.
_WAITS = {
    "overloaded": "Claude is overloaded",
    "rate_limited": "Claude limits the rate of requests",
    "server_error": "Claude returned a server error",
    "authentication_failed": "Claude refuses the credentials",
    "billing_error": "Claude refuses the account",
    "cloning": "its repository is being cloned",
    "sandbox_unavailable": "no worker with a sandbox is running",
}


def reason_of(status: Body, health: Body) -> str:
    """Return why a job waits; empty if it does not wait, or only for its turn in the queue."""
    match status, health:
        case {"waitingFor": {"code": str(code), **rest}}, _:
            until = rest.get("retryAt")
            return _WAITS.get(code, code) + (f", next attempt at {until}" if isinstance(until, str) else "")
        case {"state": "waiting" | "delayed"}, {"reason": str(code)}:
            return _HOLDS.get(code, code)
        case _:
            return ""


def state_of(status: Body, health: Body) -> str:
    """Return a job's state, why it waits, and its place in the queue."""
    state, before = status.get("state") or "unknown", status.get("queuePosition")
    reason = reason_of(status, health)
    parts = [f"{state}: {reason}" if reason else str(state)]
    if state == "delayed" and not reason:
        parts = [_delay(status)]
    if state == "paused":
        parts = ["paused: a call waits for a decision"]
    if isinstance(before, int) and state == "waiting":
        parts.append(f"{before} ahead of it" if before else "first in the queue")
        if not reason and _is_busy(health):
            parts.append("all slots are busy")
    return visible(", ".join(parts))


def _delay(status: Body) -> str:
    if status.get("startsAt") and not status.get("attempts"):
        return f"delayed until {status['startsAt']}"
    return "delayed: the attempt failed; retrying soon"


def failure_of(status: Body) -> str:
    """Return why a job did not complete."""
    match status:
        case {"error": {"code": code, "message": message}}:
            return f"{code}: {message}"
        case _:
            return f"the job was {status.get('state')}"


def _is_busy(health: Body) -> bool:
    slots: Any = health.get("slots")
    active: Any = health.get("active")
    return isinstance(slots, int) and isinstance(active, int) and 0 < slots <= active


def details_of(status: Body, health: Body) -> str:
    """Format a job as lines: its fields, its error, and its answer after an empty line."""
    result = status.get("result") or {}
    answer = result.get("response")
    cost = result.get("costUsd")
    fields = {
        "job": status.get("jobId"),
        "request": status.get("requestId"),
        "state": state_of(status, health),
        "progress": f"{status.get('progress')} %",
        "priority": status.get("priority"),
        "attempts": status.get("attempts"),
        "mcp servers": ", ".join(status.get("mcpServers") or []),
        "metadata": ", ".join(f"{name}={value}" for name, value in (status.get("metadata") or {}).items()),
        "created": status.get("createdAt"),
        "started": status.get("startedAt"),
        "finished": status.get("finishedAt"),
        "model": result.get("model"),
        "session": result.get("sessionId"),
        "cost": None if cost is None else f"${cost:g}",
        "error": failure_of(status) if status.get("error") else None,
    }
    lines = [f"{name:<12} {value}" for name, value in fields.items() if value not in {None, ""}]
    return "\n".join([*lines, *(["", answer] if answer else [])])
