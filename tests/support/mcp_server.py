"""An MCP server for tests: shows its environment, dies, or hangs. With a port it serves HTTP and needs a token."""

import os
import sys
import threading
from pathlib import Path

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, TextContent

server = MCPServer("tests")


@server.tool()
def environment() -> dict[str, str]:
    """Return the server's environment."""
    return dict(os.environ)


@server.tool()
def die() -> None:
    """End the server at once."""
    os._exit(1)


@server.tool()
def refuse() -> None:
    """Fail with a message that reads as if the server had ended."""
    raise ToolError("upstream said: Connection closed")


@server.tool()
def closed() -> CallToolResult:
    """Fail with the message by which the CLI reports that a server has ended."""
    return CallToolResult(content=[TextContent(type="text", text="Connection closed")], is_error=True)


@server.tool(name="dotted.name/of-a-tool")
def dotted() -> str:
    """Answer under a name that the CLI must rewrite."""
    return "answered by its dotted name"


@server.tool()
def large(size: int) -> str:
    """Answer with a number of characters."""
    return "x" * size


@server.tool()
def hang(sign: str) -> None:
    """Create a file as a signal, and never answer."""
    Path(sign).touch()
    threading.Event().wait()


@server.tool()
def token(ctx: Context) -> str:
    """Return the token of the request."""
    return str((ctx.headers or {}).get("x-token"))


if __name__ == "__main__":
    if sys.argv[1:]:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run()
