"""Instructions to the demo model in a query, so that every documented feature can be tried without Claude.

Each line of the query that begins with `demo:` is one instruction. Tools are called one after another, in the order of
their lines; the answer follows the last tool result.

    demo: slow SECONDS          stream the answer over this many seconds, at most 600
    demo: stream WORDS          answer with this many words, at most 10,000
    demo: think                 think before the answer
    demo: fail STATUS           fail with an HTTP status of the Messages API, such as 429 or 529
    demo: mcp SERVER TOOL JSON  call a tool of an MCP server
    demo: tool NAME JSON        call a built-in tool
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from local.messages_api import JsonObject, ToolCall

MOST_SECONDS, MOST_WORDS = 600.0, 10_000
N = TypeVar("N", int, float)
# Claude's error types by HTTP status.
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
_LINE = re.compile(r"^\s*demo:[ \t]*(\w+)[ \t]*(.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """The instructions of a query; `problem` describes an invalid instruction."""

    seconds: float = 0.0
    words: int = 0
    thinks: bool = False
    fails: int = 0
    calls: tuple[ToolCall, ...] = ()
    problem: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether the query has no instruction."""
        return self == Script()


def script_of(query: str) -> Script:
    """Parse the instructions of a query."""
    found: dict[str, Any] = {}
    calls: list[ToolCall] = []
    for verb, rest in _LINE.findall(query):
        try:
            match verb.lower():
                case "slow":
                    found["seconds"] = _number(rest, float, "seconds", MOST_SECONDS)
                case "stream":
                    found["words"] = _number(rest, int, "words", MOST_WORDS)
                case "think":
                    found["thinks"] = True
                case "fail":
                    found["fails"] = _status(rest)
                case "mcp":
                    server, tool, given = _parts(rest, 3)
                    # The CLI's name of an MCP tool, with every character but letters, digits, - and _ replaced.
                    calls.append(ToolCall(f"mcp__{server}__{re.sub(r'[^a-zA-Z0-9_-]', '_', tool)}", _object(given)))
                case "tool":
                    name, given = _parts(rest, 2)
                    calls.append(ToolCall(name, _object(given)))
                case _:
                    return Script(problem=f"`demo: {verb}` is not an instruction")
        except ValueError as error:
            return Script(problem=f"`demo: {verb}` {error}")
    return Script(calls=tuple(calls), **found)


def _number(text: str, kind: Callable[[str], N], unit: str, most: N) -> N:
    try:
        number = kind(text)
    except ValueError:
        number = most + 1
    if not 0 <= number <= most:  # never true of NaN
        raise ValueError(f"takes a number of {unit} from 0 to {most:.0f}")
    return number


def _status(text: str) -> int:
    status = int(text) if text.isdecimal() else 0
    if status not in ERROR_TYPES:
        raise ValueError(f"takes one of {', '.join(map(str, ERROR_TYPES))}")
    return status


def _parts(text: str, count: int) -> list[str]:
    parts = text.split(None, count - 1)
    if len(parts) == count - 1:
        parts.append("{}")
    if len(parts) != count:
        raise ValueError(f"takes {count - 1} names and a JSON object")
    return parts


def _object(text: str) -> JsonObject:
    try:
        match json.loads(text):
            case dict() as given:
                return given
    except ValueError:
        pass
    raise ValueError("takes a JSON object after the names")
