"""Requests of the gateway itself to an MCP server, on behalf of no run."""

import asyncio
from typing import Any

from mcp.types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from functions.worker.mcp.exchange import Call, Exchange
from functions.worker.mcp.messages import Unreadable
from shared.version import VERSION

# The version that the CLI asks for.
_PROTOCOL = "2025-11-25"


async def shake_hands(exchange: Exchange) -> dict[str, Any]:
    """Initialize a server, and return its answer; raises ConnectionError when it refuses."""
    client = {"name": "claude-api-gateway", "version": VERSION}
    params = {"protocolVersion": _PROTOCOL, "capabilities": {}, "clientInfo": client}
    result = await ask(exchange, "initialize", params)
    exchange.notify(JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized"))
    return result


async def ask(exchange: Exchange, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a request; raises ConnectionError when the server refuses it."""
    requester = _Requester()
    request = JSONRPCRequest(jsonrpc="2.0", id=0, method=method, params=params)
    if reason := exchange.ask(requester, request):
        raise ConnectionError(reason)
    return (await requester.answer).result


class _Requester:
    """Waits for the answer to one request."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[JSONRPCResponse] = asyncio.get_running_loop().create_future()

    def answered(self, _call: Call, answer: JSONRPCResponse | JSONRPCError | Unreadable) -> None:
        if isinstance(answer, JSONRPCResponse):
            self.answer.set_result(answer)
        else:
            self.answer.set_exception(ConnectionError("the server refused the request"))

    def notified(self, notification: JSONRPCNotification) -> None:
        """Drop it."""
