"""The MCP servers of a run: their configuration for the CLI, and which of them are absent."""

import re

from claude_agent_sdk import AssistantMessage, SystemMessage, ToolResultBlock, ToolUseBlock, UserMessage
from claude_agent_sdk.types import Message

from functions.worker.cli.plan import McpPlan
from shared.mcp.config import Servers

# The CLI's text for a tool's whole result when it shows the model only the beginning of it.
_CUT = "<persisted-output>\nOutput too large"


def allowed_tools(servers: Servers) -> list[str]:
    """Return the tools of the servers that the model may use, as the CLI names them."""
    names = []
    for name, server in servers.items():
        if server.routing.tools is None:
            names.append(f"mcp__{name}")
        else:
            names += [renamed(f"mcp__{name}__{tool}") for tool in server.routing.tools]
    return names


def renamed(tool: str) -> str:
    """Return a tool as the CLI names it: it replaces any other character."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", tool)


# A tool can write to the CLI's output: it can report calls without end, with names of any length.
_MOST_CALLS, _LONGEST_CALL = 200, 1000


class Expected:
    """The servers that a run expects; its messages show which of them are present."""

    def __init__(self, plan: McpPlan, gone: set[str], cut: set[str]) -> None:
        """Expect the servers of a plan; the broker lost those in `gone` and discarded results of those in `cut`."""
        self._gone = gone
        self._cut = cut
        self._names = set(plan.names)
        self._required = plan.required
        # A server that this worker does not have, or lacks a credential for, is absent from the start.
        self._absent = self._names - plan.servers.keys()
        self._calls: dict[str, str] = {}
        self._truncated: set[str] = set()

    @property
    def absent(self) -> tuple[str, ...]:
        """Those that did not start, or died."""
        return tuple(sorted(self._absent | self._gone))

    @property
    def truncated(self) -> tuple[str, ...]:
        """The tools of whose results the model saw only the beginning, or nothing because they were too large."""
        return tuple(sorted(self._truncated | {renamed(tool) for tool in self._cut}))

    @property
    def required_is_absent(self) -> bool:
        """Whether a server that the job requires is absent."""
        return bool((self._absent | self._gone) & self._required)

    def observe(self, message: Message) -> None:
        """Record what a message shows of the servers and their tools."""
        match message:
            case SystemMessage(subtype="init", data={"mcp_servers": list(found), "tools": list(tools)}):
                connected = {server.get("name") for server in found if server.get("status") == "connected"}
                # The CLI reports a server that ended before it listed its tools as connected.
                self._absent |= self._names - (connected & set(map(_server_of, tools)))
            case AssistantMessage():
                for block in message.content:
                    if isinstance(block, ToolUseBlock) and _server_of(block.name) in self._names:
                        self._note_call(block)
            case UserMessage(content=list(blocks)):
                for block in blocks:
                    if isinstance(block, ToolResultBlock):
                        self._look_at_result(self._calls.pop(block.tool_use_id, ""), block)
            case _:
                pass

    def _note_call(self, block: ToolUseBlock) -> None:
        if len(self._calls) < _MOST_CALLS and len(block.id) + len(block.name) <= _LONGEST_CALL:
            self._calls[block.id] = block.name

    def _look_at_result(self, tool: str, block: ToolResultBlock) -> None:
        if tool and not block.is_error and len(self._truncated) < _MOST_CALLS and str(block.content).startswith(_CUT):
            self._truncated.add(tool)


def _server_of(tool: str) -> str:
    """Return the server of a tool, an empty string for a built-in tool; no server has `__` in its name."""
    kind, _, rest = tool.partition("__")
    return rest.partition("__")[0] if kind == "mcp" else ""
