"""Policies: the limits of one caller, where they differ from those of the deployment."""

from datetime import UTC, datetime
from typing import Annotated, cast

from pydantic import (
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    field_validator,
)

from shared.api.requests import AgentName, Body, HostName, McpServerName, ModelName, ToolName
from shared.api.sent_times import Time
from shared.api.vocabulary import PRIORITIES, Priority
from shared.configuration.types import rate

Count = Annotated[StrictInt, Field(ge=1, le=1_000_000_000)]
Dollars = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False, strict=True)]


class Policy(Body):
    """The limits of one caller. A field that is absent is the deployment's; a list allows only what it names."""

    model_config = ConfigDict(
        frozen=True, json_schema_extra={"examples": [{"maxPriority": "normal", "rateLimit": "60/minute", "weight": 2}]}
    )

    models: list[ModelName] | None = Field(
        None, min_length=1, max_length=100, description="The models that jobs may name; the first is the default."
    )
    tools: list[ToolName] | None = Field(None, max_length=100, description="The built-in tools, within CLAUDE_TOOLS.")
    mcp_servers: list[McpServerName] | None = Field(None, max_length=100, description="The MCP servers of jobs.")
    agents: list[AgentName] | None = Field(
        None, max_length=100, description="The agents of AGENTS_DIR that jobs may name."
    )
    skills: list[AgentName] | None = Field(
        None, max_length=100, description="The skills of SKILLS_DIR that jobs may name."
    )
    allowed_hosts: list[HostName] | None = Field(
        None, max_length=100, description="The hosts that runs may reach, within RUN_ALLOWED_HOSTS."
    )
    max_priority: Priority | None = Field(None, description="The highest priority of jobs.")
    rate_limit: StrictStr | None = Field(None, description="Submissions in a time, such as `60/minute`.")
    daily_budget_usd: Dollars | None = Field(None, description="What the jobs of a day (UTC) may cost.")
    max_budget_usd: Dollars | None = Field(None, description="What one job may cost.")
    max_active: Count | None = Field(None, description="Jobs that run at once.")
    max_waiting: Count | None = Field(None, description="Jobs that wait.")
    max_bytes: Annotated[StrictInt, Field(ge=1, le=1 << 50)] | None = Field(
        None, description="Bytes that jobs, results and sessions may hold in Redis."
    )
    max_file_bytes: Annotated[StrictInt, Field(ge=1, le=1 << 50)] | None = Field(
        None, description="Bytes that the caller's files may have together."
    )
    weight: float | None = Field(
        None, ge=0.1, le=100, strict=True, allow_inf_nan=False, description="Share of the slots; 1 by default."
    )
    expires_at: Time | None = Field(None, description="When the caller's keys stop working.")

    @field_validator("rate_limit")
    @classmethod
    def _is_rate(cls, text: str | None) -> str | None:
        if text is not None:
            rate(text)
        return text

    @property
    def rate(self) -> tuple[int, int] | None:
        """The rate limit as a number and seconds; None for the deployment's."""
        return None if self.rate_limit is None else cast("tuple[int, int]", rate(self.rate_limit))

    @property
    def has_expired(self) -> bool:
        """Whether the caller's keys have stopped working."""
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)

    def highest(self, priority: Priority) -> Priority:
        """Return a priority, or the highest that the policy allows if that is lower."""
        return max(priority, self.max_priority or priority, key=PRIORITIES.index)

    def to_json(self) -> str:
        """Write the fields that are present, as the API and the store have them."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


NO_POLICY = Policy()
