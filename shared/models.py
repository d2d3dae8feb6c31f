"""What clients send and what they are told: the shapes of the API, camelCase on the wire."""

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StrictStr
from pydantic.alias_generators import to_camel

# What JavaScript's trim() removes: WhiteSpace and LineTerminator of ECMA-262.
_JS_SPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)

State = Literal["waiting", "active", "delayed", "completed", "failed", "cancelled"]
Priority = Literal["high", "normal", "low"]
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")
TERMINAL = frozenset({"completed", "failed", "cancelled"})

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
]


def _not_blank(text: str) -> str:
    if not text.strip(_JS_SPACE):
        raise ValueError("should not be blank")
    return text


def _finite(value: Any) -> Any:
    """Refuse what JSON cannot carry on: 1e999 parses to infinity, which no canonical form has."""
    match value:
        case float() if not math.isfinite(value):
            raise ValueError("should hold finite numbers only")
        case dict():
            for item in value.values():
                _finite(item)
        case list():
            for item in value:
                _finite(item)
        case _:
            pass
    return value


class Wire(BaseModel):
    """A JSON object of the API."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class SubmitRequest(Wire):
    """A query and how to run it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"query": "What is 2+2?"},
                {
                    "query": "Summarise the ticket.",
                    "priority": "high",
                    "context": {"ticket": {"id": 4711, "title": "Login fails"}},
                    "metadata": {"team": "support"},
                },
            ]
        },
    )

    query: Annotated[StrictStr, AfterValidator(_not_blank)] = Field(
        min_length=1,
        description="Reaches the model byte for byte. At most MAX_QUERY_BYTES of UTF-8, not blank.",
    )
    priority: Priority = Field("normal", description="A waiting high job always starts before a normal one.")
    context: Annotated[dict[str, Any], AfterValidator(_finite)] | None = Field(
        None, description="Data that the model is shown before the query."
    )
    model: Annotated[StrictStr, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][\w.:/@\[\]-]*$")] | None = (
        Field(None, description="One of CLAUDE_MODELS when that is set.")
    )
    system_prompt: StrictStr | None = Field(None, description="Replaces the CLI's system prompt.")
    max_turns: StrictInt | None = Field(None, ge=1, le=100)
    max_budget_usd: float | None = Field(None, gt=0, allow_inf_nan=False, strict=True)
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    timeout_ms: StrictInt | None = Field(None, ge=1000, description="At most CLAUDE_TIMEOUT.")
    metadata: dict[StrictStr, StrictStr] = Field(
        default_factory=dict, max_length=16, description="Echoed in the status; never part of what is run."
    )


class Accepted(Wire):
    """The answer to a submission that was queued."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "requestId": "019a9c3e-5a70-7a31-9c55-2f6f2d1f4c11",
                    "status": "queued",
                    "jobId": "019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22",
                }
            ]
        }
    )

    request_id: str
    status: Literal["queued"]
    job_id: str


class Usage(Wire):
    """Tokens as the CLI's envelope counts them."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_creation_tokens: int


class Result(Wire):
    """What a completed job brought."""

    response: str
    format: Literal["text", "json"]
    structured: Any | None
    session_id: str | None
    model: str
    usage: Usage
    cost_usd: float
    duration_ms: int
    turns: int


class JobError(Wire):
    """Why a job failed."""

    code: ErrorCode
    message: str
    retryable: bool


class Status(Wire):
    """Where a job is, and what came of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "jobId": "019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22",
                    "requestId": "019a9c3e-5a70-7a31-9c55-2f6f2d1f4c11",
                    "state": "completed",
                    "progress": 100,
                    "result": {
                        "response": "4",
                        "format": "text",
                        "structured": None,
                        "sessionId": None,
                        "model": "claude-sonnet-5",
                        "usage": {
                            "inputTokens": 12,
                            "outputTokens": 1,
                            "cacheReadTokens": 0,
                            "cacheCreationTokens": 0,
                        },
                        "costUsd": 0.0001,
                        "durationMs": 812,
                        "turns": 1,
                    },
                    "error": None,
                    "priority": "normal",
                    "attempts": 1,
                    "mcpServers": [],
                    "metadata": {},
                    "createdAt": "2026-01-31T12:00:00.000Z",
                    "startedAt": "2026-01-31T12:00:00.040Z",
                    "finishedAt": "2026-01-31T12:00:00.870Z",
                    "queuePosition": None,
                }
            ]
        }
    )

    job_id: str
    request_id: str
    state: State
    progress: int = Field(ge=0, le=100)
    result: Result | None
    error: JobError | None
    priority: Priority
    attempts: int
    mcp_servers: list[str]
    metadata: dict[str, str]
    created_at: str
    started_at: str | None
    finished_at: str | None
    queue_position: int | None = Field(description="How many jobs start before this one; null unless it waits.")
