"""The MCP servers of a run: what the CLI is told of them, and which of them are not there."""

import re

from claude_agent_sdk import AssistantMessage, SystemMessage, ToolResultBlock, ToolUseBlock, UserMessage
from claude_agent_sdk.types import Message

from functions.worker.cli.plan import McpPlan
from shared.mcp.config import Servers

# What the CLI gives as a tool's whole result when it shows the model only the beginning of it.
_CUT = "<persisted-output>\nOutput too large"


def allowed_tools(servers: Servers) -> list[str]:
    """Name what the model may do with them, as the CLI writes it."""
    names = []
    for name, server in servers.items():
        if server.routing.tools is None:
            names.append(f"mcp__{name}")
        else:
            # The CLI renames a tool whose name holds any other character.
            names += [f"mcp__{name}__{re.sub(r'[^a-zA-Z0-9_-]', '_', tool)}" for tool in server.routing.tools]
    return names


class Expected:
    """The servers that a run was promised, as its messages show which of them are there."""

    def __init__(self, plan: McpPlan, gone: set[str]) -> None:
        """Expect the servers of a plan; `gone` names those that the broker has lost."""
        self._gone = gone
        self._names = set(plan.names)
        self._required = {name for name, server in plan.servers.items() if server.routing.required}
        # A server that this worker does not have is absent from the start.
        self._absent = self._names - plan.servers.keys()
        self._asked: dict[str, str] = {}
        self._truncated: set[str] = set()

    @property
    def absent(self) -> tuple[str, ...]:
        """Those that did not start, or died."""
        return tuple(sorted(self._absent | self._gone))

    @property
    def truncated(self) -> tuple[str, ...]:
        """The tools whose results the CLI cut: the model saw their beginning only."""
        return tuple(sorted(self._truncated))

    @property
    def required_is_absent(self) -> bool:
        """Whether the run is of no use any more."""
        return bool((self._absent | self._gone) & self._required)

    def look(self, message: Message) -> None:
        """Take down what a message shows of them."""
        match message:
            case SystemMessage(subtype="init", data={"mcp_servers": list(found), "tools": list(tools)}):
                connected = {server.get("name") for server in found if server.get("status") == "connected"}
                # One that ended before it told its tools counts as connected.
                self._absent |= self._names - (connected & set(map(_server_of, tools)))
            case AssistantMessage():
                self._asked |= {block.id: block.name for block in message.content if isinstance(block, ToolUseBlock)}
            case UserMessage(content=list(blocks)):
                for block in blocks:
                    if isinstance(block, ToolResultBlock):
                        self._look_at_result(self._asked.get(block.tool_use_id, ""), block)
            case _:
                pass

    def _look_at_result(self, tool: str, block: ToolResultBlock) -> None:
        if not block.is_error and _server_of(tool) in self._names and str(block.content).startswith(_CUT):
            self._truncated.add(tool)


def _server_of(tool: str) -> str:
    """Return the server that a tool is of, nothing for one of the CLI's own; no server has `__` in its name."""
    kind, _, rest = tool.partition("__")
    return rest.partition("__")[0] if kind == "mcp" else ""
