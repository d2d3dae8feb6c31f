"""One run's connection with one MCP server: what the CLI sends is untrusted, as a tool of the run can write it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
from mcp.shared.message import SessionMessage
from mcp.types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
)

from functions.worker.mcp.exchange import MOST_CALLS, Call, Exchange
from functions.worker.mcp.messages import Message, Unreadable
from shared.mcp.config import Server

# What a run may ask of a shared server: nothing that changes what the server does for others.
_ALLOWED_ON_SHARED = {
    "tools/list", "tools/call", "resources/list", "resources/templates/list", "resources/read", "prompts/list",
    "prompts/get", "completion/complete",
}  # fmt: skip
# Notifications that wait for the CLI.
_MOST_WAITING = 64
# How an HTTP client reports that the connection of a request was lost, and that its session has ended.
_LOST = (
    (CONNECTION_CLOSED, "Connection closed"),
    (CONNECTION_CLOSED, "SSE stream ended"),
    (INVALID_REQUEST, "Session terminated"),
)


class Link:
    """Takes requests of a CLI, and returns the answers by `deliver`. Requests wait while no server is attached.

    `on_lost` is called when the run loses the server, and `on_cut` with a tool whose result was discarded.
    """

    def __init__(self, server: Server, on_lost: Callable[[], None], on_cut: Callable[[str], None]) -> None:
        self._server, self._on_lost, self._on_cut = server, on_lost, on_cut
        self._exchange: Exchange | None = None
        self._held: dict[Any, JSONRPCRequest] = {}
        self._closed = False
        # Whether a call of a tool was sent to the server.
        self.called = False
        self._waiting: asyncio.Queue[Message] = asyncio.Queue()
        # Whether requests wait for a server that is not attached.
        self.may_wait: Callable[[], bool] = lambda: True
        # Whether a call, by its tool and arguments, has the decision that it needs.
        self.permits: Callable[[str, Any], bool] = lambda _tool, _arguments: True

    async def deliver(self, to_cli: Any) -> None:
        """Pass answers on to the CLI until cancelled."""
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            while True:
                await to_cli.send(SessionMessage(await self._waiting.get()))

    def take(self, message: Message) -> None:
        """Take a message of the CLI, without waiting."""
        match message:
            case JSONRPCRequest():
                self._take_request(message)
            case JSONRPCNotification(method="notifications/cancelled", params=params):
                self._cancel((params or {}).get("requestId"))
            case JSONRPCNotification() if self._exchange is not None and not self._server.shared:
                self._exchange.notify(message)
            case _:
                # The gateway itself has answered what a server asks.
                pass

    def attach(self, exchange: Exchange) -> None:
        """Send requests to a server from now on, those that wait first."""
        self._exchange, held, self._held = exchange, list(self._held.values()), {}
        exchange.join(self)
        for request in held:
            self._ask(exchange, request)

    def detach(self, lost: list[Call], unread: list[Call]) -> None:
        """Stop sending; refuse the requests of this run that are lost, and hold those that the server has not read."""
        self._exchange = None
        self._held |= {call.message.id: call.message for call in unread if call.requester is self}
        mine = [call.message for call in lost if call.requester is self]
        if mine and not self._closed:
            self._on_lost()
        for request in mine:
            self._refuse(request, CONNECTION_CLOSED, "Connection closed")

    def refuse_held(self) -> None:
        """Refuse the requests that wait: the server did not start."""
        held, self._held = list(self._held.values()), {}
        if held:
            self._on_lost()
        for request in held:
            self._refuse(request, CONNECTION_CLOSED, "Connection closed")

    def close(self) -> None:
        """Refuse all requests from now on: the server has ended for good."""
        self._on_lost()
        self._closed = True
        self.refuse_held()

    def release(self) -> None:
        """Cancel what is in flight: the run has ended."""
        self._closed = True
        if self._exchange is not None:
            self._exchange.release(self)

    def answered(self, call: Call, answer: JSONRPCResponse | JSONRPCError | Unreadable) -> None:
        """Return an answer under the id of the CLI."""
        if isinstance(answer, Unreadable):
            if answer.too_large:
                self._on_cut(_tool(call.message))
            self._refuse(call.message, INTERNAL_ERROR, answer.reason)
            return
        if isinstance(answer, JSONRPCError) and self._is_lost(answer.error):
            self._on_lost()
            if self._server.shared and self._exchange is not None:
                # Later requests wait for the next connection.
                self._exchange.end()
                self._exchange = None
        self._put(answer.model_copy(update={"id": call.message.id}))

    def notified(self, notification: JSONRPCNotification) -> None:
        """Return a notification; drop it while the CLI does not read."""
        if self._waiting.qsize() < _MOST_WAITING:
            self._put(notification)

    def _take_request(self, request: JSONRPCRequest) -> None:
        tools = self._server.routing.tools
        if self._closed:
            self._refuse(request, CONNECTION_CLOSED, "Connection closed")
        elif request.method == "tools/call" and tools is not None and _tool(request) not in tools:
            # The CLI asks for permission itself; this holds for what a tool of the run writes into the CLI's output.
            self._refuse(request, INVALID_PARAMS, "The gateway does not allow this tool of the server")
        elif request.method == "tools/call" and not self.permits(
            _tool(request), (request.params or {}).get("arguments")
        ):
            # As above: the CLI has not asked for what a tool writes.
            self._refuse(request, INVALID_PARAMS, "The call needs a decision, and this one has none")
        elif self._server.shared and request.method == "ping":
            self._put(JSONRPCResponse(jsonrpc="2.0", id=request.id, result={}))
        elif self._server.shared and request.method not in {*_ALLOWED_ON_SHARED, "initialize"}:
            self._refuse(request, METHOD_NOT_FOUND, "The gateway does not pass this request to a shared server")
        elif self._exchange is not None:
            self._ask(self._exchange, request)
        elif not self.may_wait():
            self._on_lost()
            self._refuse(request, CONNECTION_CLOSED, "Connection closed")
        elif len(self._held) < MOST_CALLS and request.id not in self._held:
            self._held[request.id] = request
        else:
            self._refuse(request, INTERNAL_ERROR, "Too many requests wait for the server")

    def _ask(self, exchange: Exchange, request: JSONRPCRequest) -> None:
        if exchange.handshake is not None and request.method == "initialize":
            self._put(JSONRPCResponse(jsonrpc="2.0", id=request.id, result=exchange.handshake))
        elif reason := exchange.ask(self, request):
            self._refuse(request, INTERNAL_ERROR, reason)
        elif request.method == "tools/call":
            self.called = True
            if self._server.timeout is not None:
                asyncio.get_running_loop().call_later(self._server.timeout / 1000, self._expire, exchange, request)

    def _expire(self, exchange: Exchange, request: JSONRPCRequest) -> None:
        if exchange.cancel(self, lambda one: one is request):
            self._refuse(request, INTERNAL_ERROR, f"The tool returned no result within {self._server.timeout} ms")

    def _cancel(self, request_id: Any) -> None:
        request = self._held.pop(request_id, None) if isinstance(request_id, int | str) else None
        if request is None and self._exchange is not None:
            request = self._exchange.cancel(self, lambda one: bool(one.id == request_id))
        if request is not None:
            # The SDK keeps the id until there is an answer.
            self._refuse(request, INTERNAL_ERROR, "Request cancelled")

    def _is_lost(self, error: ErrorData) -> bool:
        # Over pipes only the end of the output says so: a server may use the codes for errors of its own.
        if self._server.type == "stdio":
            return False
        return any(error.code == code and error.message.startswith(start) for code, start in _LOST)

    def _refuse(self, request: JSONRPCRequest, code: int, message: str) -> None:
        self._put(JSONRPCError(jsonrpc="2.0", id=request.id, error=ErrorData(code=code, message=message)))

    def _put(self, message: Message) -> None:
        self._waiting.put_nowait(message)


def _tool(request: JSONRPCRequest) -> str:
    name = (request.params or {}).get("name")
    return name if isinstance(name, str) and request.method == "tools/call" else ""
