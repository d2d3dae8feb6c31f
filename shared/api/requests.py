"""What clients send: a submission, checked before anything is done."""

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from shared.api.models import Wire
from shared.api.vocabulary import Priority
from shared.egress.targets import MAX_URL

# What JavaScript's trim() removes: WhiteSpace and LineTerminator of ECMA-262.
_JS_SPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)


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


def _integral(value: Any) -> Any:
    """Take 5.0 for 5, as JSON Schema does: some languages have one kind of number and write it so."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Seconds = Annotated[StrictInt, Field(ge=1, le=2_592_000), BeforeValidator(_integral)]
Turns = Annotated[StrictInt, Field(ge=1, le=100), BeforeValidator(_integral)]
Tokens = Annotated[StrictInt, Field(ge=1, le=1_000_000), BeforeValidator(_integral)]
Milliseconds = Annotated[StrictInt, Field(ge=1000, le=86_400_000), BeforeValidator(_integral)]


class Sent(Wire):
    """What a client sends: a field goes by its name in the API alone, and one that is not known is an error."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False)


class CacheControl(Sent):
    """How the answer may be reused: bypass neither reads nor writes, refresh runs and overwrites."""

    mode: Literal["default", "bypass", "refresh"] = "default"
    ttl: Seconds | None = Field(None, description="Seconds; CACHE_TTL when not given.")


WebhookUrl = Annotated[StrictStr, Field(min_length=1, max_length=MAX_URL, json_schema_extra={"format": "uri"})]


ToolName = Annotated[StrictStr, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


McpServerName = Annotated[StrictStr, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


CREDENTIAL_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
CredentialName = Annotated[StrictStr, Field(min_length=1, max_length=64, pattern=CREDENTIAL_NAME)]


class RouteRequest(Sent):
    """A query whose routing is to be shown."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"query": "What time is it in Tokyo?"}]})

    query: Annotated[StrictStr, AfterValidator(_not_blank)] = Field(min_length=1, json_schema_extra={"pattern": r"\S"})


MAX_METADATA, MAX_METADATA_KEY, MAX_METADATA_VALUE = 16, 64, 512


def _bounded(metadata: dict[str, str]) -> dict[str, str]:
    """Hold metadata to its limits. The messages name each, and a key only as far as it is allowed to be."""
    if len(metadata) > MAX_METADATA:
        raise ValueError(f"may have {MAX_METADATA} keys")
    for key, value in metadata.items():
        if len(key) > MAX_METADATA_KEY:
            raise ValueError(f"may have keys of {MAX_METADATA_KEY} characters")
        if len(value) > MAX_METADATA_VALUE:
            raise ValueError(f"may have values of {MAX_METADATA_VALUE} characters; that of {key!r} has {len(value)}")
    return metadata


# Described and not declared limits: then the error names the field, and one rule holds for every API.
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


class SubmitRequest(Sent):
    """A query and how to run it."""

    model_config = ConfigDict(
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
        # Not blank, as the document can say it: JavaScript's expressions and its trim() know the same space.
        json_schema_extra={"pattern": r"\S"},
    )
    webhook_url: WebhookUrl | None = Field(
        None,
        description="Told of the outcome, signed by the Standard Webhooks specification; a public http or https URL.",
    )
    priority: Priority = Field("normal", description="A waiting high job always starts before a normal one.")
    context: Annotated[dict[str, Any], AfterValidator(_finite)] | None = Field(
        None, description="Data that the model is shown before the query."
    )
    model: Annotated[StrictStr, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][\w.:/@\[\]-]*$")] | None = (
        Field(None, description="One of CLAUDE_MODELS when that is set.")
    )
    system_prompt: StrictStr | None = Field(None, description="Replaces the CLI's system prompt.")
    max_turns: Turns | None = None
    max_budget_usd: float | None = Field(None, gt=0, allow_inf_nan=False, strict=True)
    max_output_tokens: Tokens | None = Field(
        None, description="For each message of the model; an answer that would be longer fails as `output_too_large`."
    )
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    tools: list[ToolName] = Field(
        default_factory=list, max_length=50, description="Built-in tools to allow: a subset of CLAUDE_TOOLS."
    )
    mcp_servers: list[McpServerName] | None = Field(
        None, max_length=50, description="These servers instead of the router's choice; none for an empty list."
    )
    output_schema: Annotated[dict[str, Any], AfterValidator(_finite)] | None = Field(
        None, description="A JSON Schema: the answer comes back as JSON that fits it, in `result.structured`."
    )
    session: StrictBool = Field(False, description="Keep the conversation: `result.sessionId` can be continued.")
    session_id: Annotated[StrictStr, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")] | None = Field(
        None, description="Continue a kept conversation, one turn at a time."
    )
    fork: StrictBool = Field(False, description="Continue it as a conversation of its own, and leave it as it is.")
    credential: CredentialName | None = Field(
        None,
        description="The caller's credential of the kind `anthropic_api_key` that the job runs on instead of the "
        "deployment's own.",
    )
    cache: CacheControl = Field(default_factory=CacheControl)
    timeout_ms: Milliseconds | None = Field(None, description="At most CLAUDE_TIMEOUT.")
    metadata: Metadata = Field(default_factory=dict, description="Echoed in the status; never part of what is run.")


class ResponseQuery(SubmitRequest):
    """A query of OpenAI's door, with what it tells again of the format of the answer."""

    # Left out where there is none: what was asked with a key before is the same body still.
    text_format: dict[str, Any] | None = Field(None, exclude_if=lambda told: told is None)


MOST_QUERIES = 1000
"""How many a batch may have."""


class BatchQuery(SubmitRequest):
    """A query of a batch, with a name of the caller's own for it."""

    custom_id: Annotated[StrictStr, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")] | None = Field(
        None, description="Told again beside the result."
    )


class BatchRequest(Sent):
    """Queries that are accepted together, and told of together."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"queries": [{"query": "What is 2+2?"}, {"query": "And 3+3?"}]}]},
    )

    queries: list[BatchQuery] = Field(min_length=1, max_length=MOST_QUERIES)
    webhook_url: WebhookUrl | None = Field(
        None,
        description="Told once, when all have ended.",
    )
    metadata: Metadata = Field(default_factory=dict, description="Echoed in the batch's status.")
