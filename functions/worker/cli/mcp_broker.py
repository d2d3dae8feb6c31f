"""The MCP servers of one run: outside its sandbox, and offered to the CLI over its own pipes.

The SDK regards each as an MCP server in this process. In fact messages pass unchanged between the CLI and the real
server, with two exceptions: the list of tools declares that results may be large, and a call to a server that has
ended gets the same error as from the CLI.
"""

import logging
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.message import SessionMessage
from mcp.types import CONNECTION_CLOSED, ErrorData, JSONRPCError, JSONRPCRequest, JSONRPCResponse

from shared.logs import event
from shared.mcp.config import Server, Servers

log = logging.getLogger("worker.mcp")
# They log addresses and what servers say; a run's record names the servers that failed.
for _name in ("mcp", "claude_agent_sdk._internal.sdk_mcp_bridge"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

# Programs of our own environment come first: the servers that are installed with the gateway.
_OURS = str(Path(sys.executable).parent)
# Characters of a result that reach the model whole; the CLI shows it only the beginning of longer ones.
_LARGEST = {"anthropic/maxResultSizeChars": 500_000}
# Errors with which an HTTP client reports that the connection of a request was lost.
_LOST = ("Connection closed", "SSE stream ended")


class Broker:
    """Connects the CLI with the servers of its run; `gone` names those that did not start, or ended."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.gone: set[str] = set()
        self._servers = servers
        self._folder = folder

    def configuration(self) -> dict[str, Any]:
        """Return the servers as the SDK takes them."""
        return {
            name: {
                "type": "sdk",
                "name": name,
                "instance": _Connection(self, name, server, self._folder / f"mcp-{name}"),
            }
            for name, server in self._servers.items()
        }


class _Connection:
    """One server, with the methods that the SDK calls of an `mcp.server.Server`."""

    def __init__(self, broker: Broker, name: str, server: Server, folder: Path) -> None:
        self._broker, self._name, self._server, self._folder = broker, name, server, folder
        # Requests that the server has not answered: the ids, and whether each asks for the list of tools.
        self._pending: dict[Any, bool] = {}
        # Whether the CLI has ended, which ends the server as well.
        self._ended = False

    def create_initialization_options(self) -> None:
        """Return nothing: the real server says what it can do."""

    async def run(self, from_cli: Any, to_cli: Any, _options: None, **_more: object) -> None:
        """Pass messages between the CLI and the server until the CLI ends, also when the server ends before."""
        try:
            async with (
                _connected(self._server, self._folder) as (from_server, to_server),
                anyio.create_task_group() as both,
            ):
                both.start_soon(self._to_server, from_cli, to_server, both.cancel_scope)
                await self._to_cli(from_server, to_cli)
                both.cancel_scope.cancel()
        except Exception as error:  # noqa: BLE001 -- a server's transport breaks in any way it likes
            event(log, "mcp_server_failed", logging.WARNING, server=self._name, error=type(error).__name__)
        if not self._ended:
            self._broker.gone.add(self._name)
        for request_id in list(self._pending):
            await self._refuse(request_id, to_cli)
        # The SDK would report every later call in words of its own.
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            async for item in from_cli:
                if isinstance(item, SessionMessage) and isinstance(item.message, JSONRPCRequest):
                    await self._refuse(item.message.id, to_cli)

    async def _to_server(self, from_cli: Any, to_server: Any, scope: anyio.CancelScope) -> None:
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            async for item in from_cli:
                if isinstance(item, SessionMessage):
                    if isinstance(item.message, JSONRPCRequest):
                        self._pending[item.message.id] = item.message.method == "tools/list"
                    await to_server.send(SessionMessage(item.message))
        self._ended = True
        scope.cancel()

    async def _to_cli(self, from_server: Any, to_cli: Any) -> None:
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            async for item in from_server:
                if not isinstance(item, SessionMessage):
                    continue
                message = item.message
                if isinstance(message, JSONRPCResponse | JSONRPCError):
                    lists_tools = self._pending.pop(message.id, False)
                    if isinstance(message, JSONRPCResponse) and lists_tools:
                        _allow_large_results(message.result)
                    elif isinstance(message, JSONRPCError) and self._is_lost(message.error):
                        self._broker.gone.add(self._name)
                await to_cli.send(SessionMessage(message))

    def _is_lost(self, error: ErrorData) -> bool:
        # Over pipes only the end of the output says so: a server may use the code for errors of its own.
        return self._server.type != "stdio" and error.code == CONNECTION_CLOSED and error.message.startswith(_LOST)

    async def _refuse(self, request_id: Any, to_cli: Any) -> None:
        self._pending.pop(request_id, None)
        error = ErrorData(code=CONNECTION_CLOSED, message="Connection closed")
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            await to_cli.send(SessionMessage(JSONRPCError(jsonrpc="2.0", id=request_id, error=error)))


def _allow_large_results(result: dict[str, Any]) -> None:
    for tool in result.get("tools", ()):
        if isinstance(tool, dict):
            tool["_meta"] = _LARGEST | (tool.get("_meta") or {})


@asynccontextmanager
async def _connected(server: Server, folder: Path) -> AsyncIterator[tuple[Any, Any]]:
    """Start a server, or connect to one; yield the streams from it and to it."""
    match server.type:
        case "stdio":
            folder.mkdir(mode=0o700, exist_ok=True)  # noqa: ASYNC240 -- one directory is made at once
            command = server.command or ""
            found = shutil.which(command, path=f"{_OURS}{os.pathsep}{os.environ.get('PATH', '')}")
            # Directories of its own: it must not find files that the tools of the run have written.
            environment = {"HOME": str(folder), "TMPDIR": str(folder), **_language(), **server.env}
            parameters = StdioServerParameters(
                command=found or command, args=list(server.args), env=environment, cwd=folder
            )
            with open(os.devnull, "w") as nowhere:  # noqa: ASYNC230, PTH123 -- opening it does not wait
                async with stdio_client(parameters, errlog=nowhere) as streams:
                    yield streams
        case "http":
            async with (
                create_mcp_http_client(headers=server.headers) as client,
                streamable_http_client(server.url or "", http_client=client) as streams,
            ):
                yield streams
        case "sse":
            async with sse_client(server.url or "", headers=dict(server.headers)) as streams:
                yield streams


def _language() -> dict[str, str]:
    return {"LANG": os.environ["LANG"]} if "LANG" in os.environ else {}
