"""The MCP servers of a run: what the CLI is told of them, and which of them are not there."""

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from claude_agent_sdk import AssistantMessage, SystemMessage, ToolResultBlock, ToolUseBlock, UserMessage
from claude_agent_sdk.types import Message

from functions.worker import mcp_launch
from shared.mcp_config import Server, Servers

# Programs of our own environment come first: the servers that are installed with the gateway.
_OURS = str(Path(sys.executable).parent)
# What the CLI says as a tool's whole result when its server has ended; whatever else an error says is the tool's own.
# Its status would go on saying that the server is connected.
_GONE = re.compile(
    r"Connection closed|MCP server .+ is not connected"
    r"|ECONNREFUSED: Unable to connect\..*|ECONNRESET: The socket connection was closed unexpectedly\..*",
    re.DOTALL,
)


def of_request(request: Mapping[str, Any], servers: Servers) -> dict[str, Server]:
    """Return the servers that a request goes to, as far as this worker knows them."""
    return {name: servers[name] for name in request.get("mcpServers", ()) if name in servers}


def allowed_tools(servers: Servers) -> list[str]:
    """Name what the model may do with them, as the CLI writes it."""
    names = []
    for name, server in servers.items():
        if server.routing.tools is None:
            names.append(f"mcp__{name}")
        else:
            names += [f"mcp__{name}__{tool}" for tool in server.routing.tools]
    return names


def write(path: Path, servers: Servers) -> None:
    """Write the file that the CLI reads, open to nobody else; nothing for no servers."""
    if servers:
        entries = {name: _entry(server) for name, server in servers.items()}
        path.touch(mode=0o600)
        path.write_text(json.dumps({"mcpServers": entries}), encoding="utf-8")


def _entry(server: Server) -> dict[str, Any]:
    entry = server.entry() | {"type": server.type}
    if server.command is None:
        return entry
    # The CLI would give a server all that it has itself, its credentials too.
    command = shutil.which(server.command, path=f"{_OURS}{os.pathsep}{os.environ.get('PATH', '')}") or server.command
    kept = ",".join(sorted({*mcp_launch.KEPT, *server.env}))
    launch = [sys.executable, "-I", "-S", mcp_launch.__file__, kept, command, *server.args]
    return entry | {"command": launch[0], "args": launch[1:]}


class Expected:
    """The servers that a run was promised, as its messages show which of them are there."""

    def __init__(self, request: Mapping[str, Any], servers: Servers) -> None:
        self._names = set(request.get("mcpServers", ()))
        self._required = {name for name in self._names if name in servers and servers[name].routing.required}
        # One that this worker does not know of cannot be there.
        self._absent = {name for name in self._names if name not in servers}
        self._asked: dict[str, str] = {}

    @property
    def absent(self) -> tuple[str, ...]:
        """Those that did not start, or died."""
        return tuple(sorted(self._absent))

    @property
    def required_is_absent(self) -> bool:
        """Whether the run is of no use any more."""
        return bool(self._absent & self._required)

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
                    if isinstance(block, ToolResultBlock) and block.is_error and _GONE.fullmatch(str(block.content)):
                        self._absent |= self._names & {_server_of(self._asked.get(block.tool_use_id, ""))}
            case _:
                pass


def _server_of(tool: str) -> str:
    """Return the server that a tool is of, nothing for one of the CLI's own; no server has `__` in its name."""
    kind, _, rest = tool.partition("__")
    return rest.partition("__")[0] if kind == "mcp" else ""
