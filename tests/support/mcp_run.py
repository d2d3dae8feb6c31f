"""The part of a run that speaks with MCP servers: the slot's broker, and the SDK's bridge in place of a CLI."""

import itertools
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from claude_agent_sdk._internal.sdk_mcp_bridge import SdkMcpBridge

from functions.worker.mcp.broker import Broker
from functions.worker.mcp.shared import SharedServers
from shared.mcp.config import Server

QUICK = Path(__file__).with_name("quick_mcp_server.py")


def quick(*arguments: str, **fields: Any) -> Server:
    """Return the entry of a server that starts quickly and misbehaves as it is asked to."""
    return Server(command=sys.executable, args=("-S", str(QUICK), *arguments), **fields)


class McpRun:
    """Sends messages to the servers of a run as its CLI does."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.bridges = {name: SdkMcpBridge(name, entry["instance"]) for name, entry in broker.configuration().items()}
        self._ids = itertools.count()

    async def ask(self, server: str, method: str, /, **params: Any) -> dict[str, Any]:
        """Send a request and return the answer."""
        number = next(self._ids)
        answer = await self.bridges[server].handle({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        assert answer is not None
        assert answer["id"] == number
        return answer

    async def notify(self, server: str, method: str, /, **params: Any) -> None:
        """Send a notification."""
        await self.bridges[server].handle({"jsonrpc": "2.0", "method": method, "params": params})

    async def begin(self, server: str) -> dict[str, Any]:
        """Shake hands with a server."""
        client = {"name": "test", "version": "1"}
        answer = await self.ask(server, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
        await self.notify(server, "notifications/initialized")
        return answer

    async def call(self, server: str, tool: str, /, **arguments: Any) -> Any:
        """Call a tool; return what its text says as JSON, or the text, or the error."""
        answer = await self.ask(server, "tools/call", name=tool, arguments=arguments)
        if "error" in answer:
            return answer["error"]
        text = answer["result"]["content"][0]["text"]
        try:
            return json.loads(text)
        except ValueError:
            return text


@asynccontextmanager
async def mcp_run(
    servers: dict[str, Server], folder: Path, shared: SharedServers | None = None
) -> AsyncIterator[McpRun]:
    """Begin a run with every server, and end it."""
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240 -- one directory is made at once
    run = McpRun(Broker(servers, folder, shared))
    try:
        for name in servers:
            await run.begin(name)
        yield run
    finally:
        for bridge in run.bridges.values():
            await bridge.aclose()
