"""The field `approval` of a submission: which tool calls wait for a decision."""

import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, StrictStr

from shared.api.wire import Body, finite, integral

# ms for which a call waits by default, and at most whatever SESSION_TTL is.
APPROVAL_TIMEOUT, _LONGEST = 600_000, 315_360_000_000
# The CLI has two names for one tool.
_SAME = {"Task": "Agent", "Agent": "Task"}
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
    updated_input: Annotated[dict[str, Any], AfterValidator(finite)] | None = Field(
        None, description="The input that an allowed call is made with instead of its own."
    )
    answers: dict[StrictStr, StrictStr | list[StrictStr]] | None = Field(
        None, description="The answers to the questions of the model, by the text of each question."
    )


def exact(text: str) -> str:
    """Return a text with an escape for each character that is not shown as it is, such as one that reverses a line.

    A person decides on what is shown, and that is what is made.
    """
    return "".join(letter if letter.isprintable() or letter == "\n" else _escape(letter) for letter in text)


def _escape(letter: str) -> str:
    return json.dumps(letter)[1:-1] if letter != "\x7f" else "\\u007f"


def _is_named(pattern: str, tool: str) -> bool:
    """Return whether a pattern names a tool. In linear time: a tool of the run can make up names of any length."""
    first, *rest = pattern.split("*")
    if not rest:
        return tool == pattern
    *middle, last = rest
    if not (tool.startswith(first) and tool.endswith(last) and len(tool) >= len(first) + len(last)):
        return False
    place, end = len(first), len(tool) - len(last)
    for part in middle:
        place = tool.find(part, place, end)
        if place < 0:
            return False
        place += len(part)
    return True


def names_of(tool: str) -> tuple[str, ...]:
    """Return the names of a tool, by any of which a pattern may name it."""
    return (tool, _SAME[tool]) if tool in _SAME else (tool,)


def matches(patterns: Iterable[str], tool: str) -> bool:
    """Return whether one of the patterns names a tool; `*` stands for any text.

    Case does not matter: a call that a pattern of the wrong case was meant for must not be made without a decision.
    """
    return any(_is_named(pattern.casefold(), tool.casefold()) for pattern in patterns)


def may_match(pattern: str, servers: Iterable[str], tools: Iterable[str]) -> bool:
    """Return whether a pattern names one of the tools, or may name one of a server, given by how its tools begin."""
    literal, star, _ = pattern.casefold().partition("*")
    known = [server.casefold() for server in servers]
    of_servers = (literal.startswith(server) or (star and server.startswith(literal)) for server in known)
    return any(of_servers) or any(matches([pattern], tool) for tool in tools)
