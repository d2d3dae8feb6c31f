"""The MCP servers of a run: their configuration for the CLI, and which of them are absent."""

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from claude_agent_sdk import AssistantMessage, SystemMessage, ToolResultBlock, ToolUseBlock, UserMessage
from claude_agent_sdk.types import Message

from functions.worker.cli import mcp_launch
from functions.worker.cli.plan import McpPlan
from shared.mcp.config import Server, Servers

# Programs of our own environment come first: the servers that are installed with the gateway.
_OURS = str(Path(sys.executable).parent)
# What the CLI gives as a tool's whole result when its server has ended; its status goes on saying "connected". A tool
# may give the first by itself, so that the server's process is looked at as well.
_CUT = "<persisted-output>\nOutput too large"
_CLOSED = re.compile(r"(?:MCP error -32000: )?Connection closed")
_GONE = re.compile(
    r"MCP server .+ is not connected"
    r"|ECONNREFUSED: Unable to connect\..*|ECONNRESET: The socket connection was closed unexpectedly\..*",
    re.DOTALL,
)


def allowed_tools(servers: Servers) -> list[str]:
    """Return the tools of the servers that the model may use, as the CLI names them."""
    names = []
    for name, server in servers.items():
        if server.routing.tools is None:
            names.append(f"mcp__{name}")
        else:
            # The CLI renames a tool whose name holds any other character.
            names += [f"mcp__{name}__{re.sub(r'[^a-zA-Z0-9_-]', '_', tool)}" for tool in server.routing.tools]
    return names


def write(path: Path, servers: Servers) -> None:
    """Write the file that the CLI reads, open to nobody else; nothing for no servers."""
    if servers:
        entries = {name: _entry(server, _pid_file(path.parent, name)) for name, server in servers.items()}
        path.touch(mode=0o600)
        path.write_text(json.dumps({"mcpServers": entries}), encoding="utf-8")


def _pid_file(folder: Path, name: str) -> Path:
    return folder / f"mcp-{name}.pid"


def _entry(server: Server, pid_file: Path) -> dict[str, Any]:
    entry = server.entry() | {"type": server.type}
    if server.command is None:
        return entry
    # The CLI would give a server all that it has itself, its credentials too.
    command = shutil.which(server.command, path=f"{_OURS}{os.pathsep}{os.environ.get('PATH', '')}") or server.command
    kept = ",".join(sorted({*mcp_launch.KEPT, *server.env}))
    launch = [sys.executable, "-I", "-S", mcp_launch.__file__, str(pid_file), kept, command, *server.args]
    return entry | {"command": launch[0], "args": launch[1:]}


class Expected:
    """The servers that a run expects; its messages show which of them are present."""

    def __init__(self, plan: McpPlan, folder: Path) -> None:
        """Expect the servers of a plan, whose process ids are in files of a folder."""
        self._folder = folder
        self._names = set(plan.names)
        self._required = {name for name, server in plan.servers.items() if server.routing.required}
        # A server that this worker does not have is absent from the start.
        self._absent = self._names - plan.servers.keys()
        self._calls: dict[str, str] = {}
        self._truncated: set[str] = set()

    @property
    def absent(self) -> tuple[str, ...]:
        """Those that did not start, or died."""
        return tuple(sorted(self._absent))

    @property
    def truncated(self) -> tuple[str, ...]:
        """The tools whose results the CLI truncated: the model saw only their beginning."""
        return tuple(sorted(self._truncated))

    @property
    def required_is_absent(self) -> bool:
        """Whether a server that the job requires is absent."""
        return bool(self._absent & self._required)

    def observe(self, message: Message) -> None:
        """Record what a message shows of the servers and their tools."""
        match message:
            case SystemMessage(subtype="init", data={"mcp_servers": list(found), "tools": list(tools)}):
                connected = {server.get("name") for server in found if server.get("status") == "connected"}
                # The CLI reports a server that ended before it listed its tools as connected.
                self._absent |= self._names - (connected & set(map(_server_of, tools)))
            case AssistantMessage():
                self._calls |= {block.id: block.name for block in message.content if isinstance(block, ToolUseBlock)}
            case UserMessage(content=list(blocks)):
                for block in blocks:
                    if isinstance(block, ToolResultBlock):
                        self._look_at_result(self._calls.get(block.tool_use_id, ""), block)
            case _:
                pass

    def _look_at_result(self, tool: str, block: ToolResultBlock) -> None:
        name, text = _server_of(tool), str(block.content)
        if not block.is_error:
            if name in self._names and text.startswith(_CUT):
                self._truncated.add(tool)
        elif _GONE.fullmatch(text) or (_CLOSED.fullmatch(text) and not _runs(_pid_file(self._folder, name))):
            self._absent |= self._names & {name}


def _runs(pid_file: Path) -> bool:
    """Say whether the process that a file names runs; one that has ended and is not yet waited for does not."""
    try:
        pid = int(pid_file.read_text(encoding="ascii")[:20])
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        # Without /proc the kernel's word is all there is; without the file the server has never run.
        return pid_file.exists()
    except (OSError, ValueError, OverflowError):
        return False


def _server_of(tool: str) -> str:
    """Return the server of a tool, an empty string for a built-in tool; no server has `__` in its name."""
    kind, _, rest = tool.partition("__")
    return rest.partition("__")[0] if kind == "mcp" else ""
