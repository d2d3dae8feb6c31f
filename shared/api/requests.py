"""The objects that clients send, with their limits."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
)

from shared.api.approvals import Approval
from shared.api.blank import NotBlank
from shared.api.ids import CredentialName
from shared.api.job_files import Attachments, JobFiles
from shared.api.sent_times import Time
from shared.api.vocabulary import Priority
from shared.api.wire import Body as Body  # noqa: PLC0414 -- for all that define what clients send
from shared.api.wire import finite, integral
from shared.api.workspaces import Workspace
from shared.egress import hosts
from shared.egress.targets import MAX_URL

Seconds = Annotated[StrictInt, Field(ge=1, le=2_592_000), BeforeValidator(integral)]
Turns = Annotated[StrictInt, Field(ge=1, le=100), BeforeValidator(integral)]
Tokens = Annotated[StrictInt, Field(ge=1, le=1_000_000), BeforeValidator(integral)]
Milliseconds = Annotated[StrictInt, Field(ge=1000, le=86_400_000), BeforeValidator(integral)]


class CacheControl(Body):
    """The use of the cache: `bypass` neither reads nor writes it, `refresh` runs and overwrites."""

    mode: Literal["default", "bypass", "refresh"] = "default"
    ttl: Seconds | None = Field(None, description="Seconds to keep the answer; CACHE_TTL by default.")


# One for all requests, since it cannot be changed.
_DEFAULT_CACHE = CacheControl()


HostName = Annotated[
    StrictStr,
    Field(min_length=1, max_length=255, json_schema_extra={"pattern": hosts.PATTERN, "maxLength": hosts.LONGEST}),
    AfterValidator(hosts.parse),
]


class NetworkAccess(Body):
    """The hosts that the tools of a run may reach over HTTPS."""

    allowed_hosts: list[HostName] = Field(
        max_length=100,
        description="Host names, `*.example.com` for all names below a domain; a subset of RUN_ALLOWED_HOSTS. An empty "
        "list for none.",
    )


WebhookUrl = Annotated[StrictStr, Field(min_length=1, max_length=MAX_URL, json_schema_extra={"format": "uri"})]


ModelName = Annotated[StrictStr, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][\w.:/@\[\]-]*$")]


ToolName = Annotated[StrictStr, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


McpServerName = Annotated[StrictStr, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


AgentName = Annotated[StrictStr, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class RouteRequest(Body):
    """A query to score the MCP servers for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"query": "What time is it in Tokyo?"}]})

    query: NotBlank = Field(min_length=1, json_schema_extra={"pattern": r"\S"})


MAX_METADATA, MAX_METADATA_KEY, MAX_METADATA_VALUE = 16, 64, 512


def _bounded(metadata: dict[str, str]) -> dict[str, str]:
    """Check the limits of metadata. A message names the limit, and never a key that is too long."""
    if len(metadata) > MAX_METADATA:
        raise ValueError(f"should have at most {MAX_METADATA} keys")
    for key, value in metadata.items():
        if len(key) > MAX_METADATA_KEY:
            raise ValueError(f"should have keys of at most {MAX_METADATA_KEY} characters")
        if len(value) > MAX_METADATA_VALUE:
            raise ValueError(
                f"should have values of at most {MAX_METADATA_VALUE} characters; the value of {key!r} has {len(value)}"
            )
    return metadata


# The limits are described here and checked above, so that the error names the field in every API.
Metadata = Annotated[
    dict[StrictStr, StrictStr],
    AfterValidator(_bounded),
    Field(
        json_schema_extra={
            "maxProperties": MAX_METADATA,
            "propertyNames": {"maxLength": MAX_METADATA_KEY},
            "additionalProperties": {"type": "string", "maxLength": MAX_METADATA_VALUE},
        }
    ),
]


class SubmitRequest(Body):
    """A query and the options of its run."""

    # Whether the request stays with the job after its end.
    keeps_request: ClassVar[bool] = False

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"query": "What is 2+2?"},
                {
                    "query": "Summarize the ticket.",
                    "priority": "high",
                    "context": {"ticket": {"id": 4711, "title": "Login fails"}},
                    "metadata": {"team": "support"},
                },
            ]
        },
    )

    query: NotBlank = Field(
        min_length=1,
        description="The text for the model, passed on byte for byte. At most MAX_QUERY_BYTES of UTF-8, not blank.",
        # "Not blank" in JSON Schema: `\\s` of JavaScript's expressions is what its trim() removes.
        json_schema_extra={"pattern": r"\S"},
    )
    webhook_url: WebhookUrl | None = Field(
        None,
        description="Receives the outcome as a signed Standard Webhooks event; a public http or https URL.",
    )
    priority: Priority = Field("normal", description="A waiting job of a higher priority always starts first.")
    context: Annotated[dict[str, Any], AfterValidator(finite)] | None = Field(
        None, description="Data that the model receives before the query."
    )
    model: ModelName | None = Field(None, description="One of CLAUDE_MODELS, if that is set.")
    fallback_models: list[ModelName] = Field(
        default_factory=list,
        max_length=3,
        # Omitted when empty, so that fingerprints from before this field stay valid.
        exclude_if=lambda models: not models,
        description="Models to use, in this order, while the previous model is overloaded; within CLAUDE_MODELS.",
    )
    system_prompt: StrictStr | None = Field(None, description="Replaces the CLI's system prompt.")
    max_turns: Turns | None = None
    max_budget_usd: float | None = Field(None, gt=0, allow_inf_nan=False, strict=True)
    max_output_tokens: Tokens | None = Field(
        None, description="The limit for each message of the model; a longer answer fails with `output_too_large`."
    )
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    tools: list[ToolName] = Field(
        default_factory=list, max_length=50, description="The built-in tools to allow, a subset of CLAUDE_TOOLS."
    )
    agents: list[AgentName] = Field(
        default_factory=list,
        max_length=50,
        exclude_if=lambda agents: not agents,
        description="The agents of AGENTS_DIR that the model may start. Requires a sandbox.",
    )
    skills: list[AgentName] = Field(
        default_factory=list,
        max_length=50,
        exclude_if=lambda skills: not skills,
        description="The skills of SKILLS_DIR that the model may read. Requires a sandbox.",
    )
    network: NetworkAccess | None = Field(
        None, description="The hosts that the tools may reach; by default all of RUN_ALLOWED_HOSTS."
    )
    mcp_servers: list[McpServerName] | None = Field(
        None,
        max_length=50,
        description="The MCP servers to use instead of the router's choice; an empty list for none.",
    )
    output_schema: Annotated[dict[str, Any], AfterValidator(finite)] | None = Field(
        None, description="A JSON Schema. The answer is JSON that conforms to it, in `result.structured`."
    )
    session: StrictBool = Field(False, description="Keep the session, so that `result.sessionId` can be continued.")
    session_id: Annotated[StrictStr, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")] | None = Field(
        None, description="Continue a kept session, one turn at a time."
    )
    fork: StrictBool = Field(False, description="Continue the session `sessionId` as a new one and leave it unchanged.")
    credential: CredentialName | None = Field(
        None,
        description="The caller's credential of the kind `anthropic_api_key` that the job runs on instead of the "
        "deployment's own.",
    )
    files: JobFiles = Field(
        default_factory=list,
        exclude_if=lambda files: not files,
        description="Files that are placed in the working directory before the run starts. Requires a sandbox.",
    )
    attachments: Attachments = Field(
        default_factory=list,
        exclude_if=lambda attachments: not attachments,
        description="Images and PDFs that the model is shown before the query.",
    )
    workspace: Workspace | None = Field(
        None,
        exclude_if=lambda workspace: workspace is None,
        description="A repository in which the run works. Requires a sandbox.",
    )
    approval: Approval | None = Field(
        None,
        exclude_if=lambda approval: approval is None,
        description="The calls that wait for a decision: `POST /api/query/{jobId}/decisions/{id}`.",
    )
    cache: CacheControl = Field(default_factory=lambda: _DEFAULT_CACHE)
    timeout_ms: Milliseconds | None = Field(None, description="At most CLAUDE_TIMEOUT.")
    run_at: Time | None = Field(
        None,
        exclude_if=lambda time: time is None,
        description="The job does not start before this time, at most a year from now; until then it is `delayed`.",
    )
    metadata: Metadata = Field(
        default_factory=dict, description="Returned in the status and in webhooks; not part of the run."
    )
