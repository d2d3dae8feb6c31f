"""The API's names of states, priorities and error codes."""

from typing import Literal

State = Literal["waiting", "active", "delayed", "paused", "completed", "failed", "cancelled"]
Priority = Literal["high", "normal", "low"]
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")
# What a key may do; a key that names none has the default ones.
Scope = Literal["submit", "read", "decide", "admin-read"]
DEFAULT_SCOPES: tuple[Scope, ...] = ("submit", "read", "decide")
TERMINAL = frozenset({"completed", "failed", "cancelled"})
# The model that the CLI asks when no model is set; a contract test compares.
CLI_DEFAULT_MODEL = "claude-opus-5-5"

ErrorCode = Literal[
    "authentication_failed",
    "billing_error",
    "rate_limited",
    "overloaded",
    "server_error",
    "invalid_request",
    "model_not_found",
    "timeout",
    "cli_crashed",
    "worker_lost",
    "empty_result",
    "max_turns",
    "budget_exceeded",
    "output_too_large",
    "schema_unsatisfied",
    "session_not_found",
    "mcp_unavailable",
    "resource_exceeded",
    "credential_unavailable",
    "workspace_failed",
    "workspace_too_large",
    "approval_expired",
]
