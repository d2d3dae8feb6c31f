"""The objects that clients receive; their names are camelCase in JSON."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from shared.api.attempts import AttemptDetail, WaitingFor
from shared.api.outputs import OMITTED, Artifact, Omitted, PatchSummary
from shared.api.vocabulary import ErrorCode, Priority, State
from shared.api.wire import Wire as Wire  # noqa: PLC0414 -- for all that define an object of the API


class Accepted(Wire):
    """The answer to a submission that is queued, or joined to an identical job in flight."""

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
    status: Literal["queued", "duplicate"]
    job_id: str


class Usage(Wire):
    """Token counts, as in the CLI's result envelope."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_creation_tokens: int


class ToolCall(Wire):
    """A call of a tool that the client runs itself."""

    id: str
    name: str
    input: dict[str, Any]


class Result(Wire):
    """The result of a completed job."""

    response: str
    format: Literal["text", "json"]
    structured: Any = Field(description="The answer as JSON if the request has `outputSchema`, otherwise null.")
    session_id: str | None
    model: str
    usage: Usage
    cost_usd: float
    duration_ms: int
    turns: int
    tool_calls: list[ToolCall] = Field(
        default_factory=list,
        exclude_if=lambda calls: not calls,
        description="The calls with which a job of `/v1` ended, for the client to run.",
    )
    artifacts: list[Artifact] = Field(default_factory=list, description="The files that the run left in `outputs/`.")
    patch: PatchSummary | None = Field(
        None, description="The changes in the working directory; null if the job has neither files nor a workspace."
    )
    commit: str | None = Field(None, description="The commit that was pushed, otherwise null.")
    omitted: dict[Omitted, int] | None = Field(None, exclude_if=lambda omitted: not omitted, description=OMITTED)


class JobError(Wire):
    """The error of a failed job."""

    code: ErrorCode
    message: str
    retryable: bool


class ServerScore(Wire):
    """The score of an MCP server for a query, from 0 to 1, and the reasons for it."""

    server: str
    score: float
    reasons: list[str]


class Route(Wire):
    """The MCP servers that are chosen for a query, and the scores of all servers, the best first."""

    servers: list[str]
    scores: list[ServerScore]


class McpRun(Wire):
    """The scores of a job's MCP servers, and the servers that did not start or died.

    `truncated` names the tools whose results the CLI truncated to 50,000 characters.
    """

    scores: list[ServerScore]
    unavailable: list[str]
    truncated: list[str]


class Cached(Wire):
    """The answer to a submission from the cache; `jobId` is the job that produced the result."""

    request_id: str
    status: Literal["cached"]
    job_id: str
    result: Result


class Pending(Wire):
    """A call of a job, or a question of the model, that waits for a decision."""

    id: str
    kind: Literal["tool", "question"]
    tool: str
    input: dict[str, Any]
    since: str = Field(alias="askedAt")
    expires_at: str


class Listed(Wire):
    """A job in a list: its status without the result."""

    job_id: str
    request_id: str
    state: State
    progress: int = Field(ge=0, le=100)
    error: JobError | None
    priority: Priority
    attempts: int
    attempts_detail: list[AttemptDetail]
    mcp_servers: list[str]
    metadata: dict[str, str]
    batch_id: str | None = Field(description="The batch of the job; null if it was submitted alone.")
    created_at: str
    started_at: str | None
    finished_at: str | None
    starts_at: str | None = Field(
        None, description="The time until which the job is delayed: its `runAt`, or its next attempt; otherwise null."
    )
    schedule_id: str | None = Field(None, description="The schedule that made the job; null for any other.")
    queue_position: int | None = Field(
        description="The number of jobs that start before this one; null unless it is waiting."
    )
    steps: int = Field(0, ge=0, description="How many steps its runs had, those too that are no longer listed.")
    waiting_for: WaitingFor | None = Field(
        None, description="Why the job waits: an error of Claude, its clone, or the want of a sandbox; otherwise null."
    )
    pending: Pending | None = Field(None, description="What a paused job waits for; otherwise null.")


class JobPage(Wire):
    """A page of a caller's jobs, newest first; `nextCursor` is null on the last."""

    jobs: list[Listed]
    next_cursor: str | None


class Status(Listed):
    """The state of a job, and its result or error."""

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
                    "attemptsDetail": [],
                    "mcpServers": [],
                    "metadata": {},
                    "batchId": None,
                    "createdAt": "2026-01-31T12:00:00.000Z",
                    "startedAt": "2026-01-31T12:00:00.040Z",
                    "finishedAt": "2026-01-31T12:00:00.870Z",
                    "startsAt": None,
                    "scheduleId": None,
                    "queuePosition": None,
                }
            ]
        }
    )

    result: Result | None
    mcp: McpRun | None = Field(
        None, exclude_if=lambda mcp: mcp is None, description="Present only if the job has MCP servers."
    )


class ModelUsage(Usage):
    """Tokens and cost of one model."""

    model: str
    cost_usd: float


class UsageDay(Wire):
    """One day in UTC: the cost, the amount that cached answers saved, and the number of jobs that ended."""

    date: str
    cost_usd: float
    saved_usd: float
    jobs: int
    models: list[ModelUsage]


class Budget(Wire):
    """DAILY_BUDGET_USD and the amount spent today."""

    daily_usd: float
    spent_usd: float
    resets_at: str


class UsageReport(Wire):
    """The cost of a caller's jobs, the latest day first; days without jobs are omitted."""

    total_usd: float
    saved_usd: float
    days: list[UsageDay]
    budget: Budget | None
