"""Reaches an MCP server, whatever its transport."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from functions.worker.mcp import stdio, web
from functions.worker.mcp.exchange import Transport
from shared.mcp.config import Server


def connected(server: Server, folder: Path, pids: set[int] | None = None) -> AbstractAsyncContextManager[Transport]:
    """Start a server in a directory, or connect to one; `pids` has its process while it runs."""
    return stdio.started(server, folder, pids) if server.type == "stdio" else web.connected(server)


def cause(error: BaseException) -> str:
    """Return the kind of an error, of the first one in a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
