"""The steps of a job, as the API shows them: the tool calls of its runs, and the messages that it was sent."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from shared.api.blank import NotBlank
from shared.api.wire import Body, Wire

MOST_STEPS = 2000
"""Steps of one job that are kept; those after them are counted."""
MAX_STEP_BYTES = 4096
"""Bytes of UTF-8 of a step's input, and of its output."""
MAX_MESSAGE_BYTES = 16_384
MOST_MESSAGES = 100

StepStatus = Literal["started", "completed", "failed", "denied"]


class Step(Wire):
    """A tool call of a run, or a message that was sent to it (`kind`).

    `status` is `started` until the tool has answered, or the model has received the message. `denied` is a call that
    was not allowed, and `failed` one that ended with an error, or that never ended.
    """

    id: str
    parent_id: str | None = Field(description="The step of the subagent that made the call; null for the run itself.")
    kind: Literal["tool", "message"]
    tool: str | None = Field(description="The tool, such as `Bash` or `mcp__SERVER__TOOL`; null for a message.")
    input: dict[str, Any] = Field(description="The input of the tool, or `text` of a message; at most 4 KB.")
    status: StepStatus
    output: str | None = Field(description="What the tool returned as text, at most 4 KB; null before that.")
    started_at: str
    duration_ms: int | None = Field(description="Null until the step has ended.")
    truncated: bool = Field(description="Whether a part of `input` or `output` was left out.")


def for_step(text: str, limit: int = MAX_STEP_BYTES) -> tuple[str, bool]:
    """Return the beginning of a text, at most `limit` bytes of UTF-8, and whether a part of it was left out."""
    # More characters never fit. Lone surrogates, which UTF-8 cannot encode, are replaced.
    data = text[:limit].encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    return data[:limit].decode(errors="ignore"), len(text) > limit or len(data) > limit


def as_json(step: Step) -> str:
    """Return a step as it is stored and published."""
    return step.model_dump_json(by_alias=True)


class StepPage(Wire):
    """A page of the steps of a job, in the order in which they started; `nextCursor` is null on the last."""

    steps: list[Step]
    next_cursor: str | None


class NewMessage(Body):
    """A message of the user to a running job."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "Leave the tests as they are."}]})

    text: NotBlank = Field(
        min_length=1,
        max_length=MAX_MESSAGE_BYTES,
        description=f"The text for the model, at most {MAX_MESSAGE_BYTES} bytes of UTF-8, not blank.",
        json_schema_extra={"pattern": r"\S"},
    )


class MessageAccepted(Wire):
    """The answer to a message; `messageId` is the id of its step."""

    job_id: str
    message_id: str
