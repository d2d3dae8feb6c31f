"""The tools of an MCP server, as the router reads them."""

import json
import re
from dataclasses import dataclass
from typing import Any

# What is kept of one server: enough to say what it is for.
MOST_TOOLS, LONGEST_DESCRIPTION, MOST_ARGUMENTS = 200, 500, 20
_LONGEST_NAME = 128


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: its name, its description, and the names of its arguments."""

    name: str
    description: str = ""
    arguments: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The names of the tool and its arguments as words."""
        return " ".join(plain_words(name) for name in (self.name, *self.arguments))


Tools = tuple[Tool, ...]


def plain_words(name: str) -> str:
    """Return an identifier as words: `listOpenIssues` and `list_open-issues` as `list open issues`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return re.sub(r"[\W_]+", " ", spaced).strip().lower()


def valid(text: str) -> str:
    """Return a text without half characters, which JSON can express and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()


def listed(tools: list[Any]) -> Tools:
    """Return the tools of an answer to `tools/list`, without what is malformed or beyond the bounds."""
    return tuple(
        Tool(
            valid(tool["name"][:_LONGEST_NAME]),
            valid(_text(tool.get("description"))[:LONGEST_DESCRIPTION]),
            tuple(valid(name[:_LONGEST_NAME]) for name in list(_arguments(tool))[:MOST_ARGUMENTS]),
        )
        for tool in tools[:MOST_TOOLS]
        if isinstance(tool, dict) and isinstance(tool.get("name"), str)
    )


def to_json(tools: Tools) -> str:
    """Write tools for the store."""
    return json.dumps([[tool.name, tool.description, list(tool.arguments)] for tool in tools])


def parse(text: str | bytes) -> Tools:
    """Read tools from the store."""
    return tuple(Tool(name, description, tuple(arguments)) for name, description, arguments in json.loads(text))


def _arguments(tool: dict[str, Any]) -> Any:
    schema = tool.get("inputSchema")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return properties if isinstance(properties, dict) else ()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
