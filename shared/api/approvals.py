"""The field `approval` of a submission: which tool calls wait for a decision."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictInt, StrictStr

from shared.api.wire import Body, integral

# ms for which a call waits by default, and at most whatever SESSION_TTL is.
APPROVAL_TIMEOUT, _LONGEST = 600_000, 315_360_000_000
# A tool, or several: `*` stands for any text.
PATTERN = r"^[A-Za-z*][A-Za-z0-9_*-]{0,199}$"
ToolPattern = Annotated[StrictStr, Field(min_length=1, max_length=200, pattern=PATTERN)]


class Approval(Body):
    """The tools whose calls pause the job until a decision. Questions of the model to the user pause it too."""

    tools: list[ToolPattern] = Field(
        default_factory=list, max_length=100, description="Names of tools; `*` stands for any text, as in `mcp__*`."
    )
    timeout_ms: Annotated[StrictInt, Field(ge=1000, le=_LONGEST), BeforeValidator(integral)] = Field(
        APPROVAL_TIMEOUT, description="How long a call waits; at most SESSION_TTL."
    )
    on_timeout: Literal["deny", "fail"] = Field(
        "deny", description="What happens then: the call is denied, or the job fails with `approval_expired`."
    )


class DecisionRequest(Body):
    """A decision on the call that a job is paused for."""

    decision: Literal["allow", "deny"]
    message: Annotated[StrictStr, Field(max_length=4000)] | None = Field(
        None, description="The reason, which the model receives with a denial."
    )
    updated_input: dict[str, Any] | None = Field(
        None, description="The input that an allowed call is made with instead of its own."
    )
    answers: dict[StrictStr, StrictStr | list[StrictStr]] | None = Field(
        None, description="The answers to the questions of the model, by the text of each question."
    )


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    # Not greedy with backtracking over many stars: consecutive ones are one.
    parts = re.split(r"\*+", pattern)
    return re.compile(".*?".join(map(re.escape, parts)), re.DOTALL)


def matches(patterns: Iterable[str], tool: str) -> bool:
    """Return whether one of the patterns names a tool."""
    return any(_expression(pattern).fullmatch(tool) for pattern in patterns)


def may_match(pattern: str, servers: Iterable[str], tools: Iterable[str]) -> bool:
    """Return whether a pattern names one of the tools, or may name one of a server, given by how its tools begin."""
    literal = pattern.partition("*")[0]
    has_star = "*" in pattern
    named = any(server.startswith(literal) if has_star else False for server in servers)
    return (
        named or any(literal.startswith(server) for server in servers) or any(matches([pattern], one) for one in tools)
    )
