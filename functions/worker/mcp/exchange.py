"""The requests in flight at one MCP server, those of several runs kept apart by ids that the server alone sees."""

import asyncio
import itertools
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
from mcp.types import (
    METHOD_NOT_FOUND,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
)

from functions.worker.mcp.messages import Message, Unreadable, allow_large_results, dump, finite, finite_error
from shared.logs import event

log = logging.getLogger("worker.mcp")

# Requests that one run, and all runs together, may have in flight at a server, and bytes of one request.
MOST_CALLS, _MOST_CALLS_OF_ALL, _LARGEST_REQUEST = 32, 256, 2 << 20
# Seconds without a word from a server that has been asked for one, while nobody waits for what it works on.
_STUCK_AFTER = 10.0


class Transport(Protocol):
    """Reaches a server; see `stdio` and `web`."""

    def send(self, data: bytes) -> bool:
        """Send a message without waiting; return whether it was taken."""

    def messages(self) -> AsyncIterator[Message | Unreadable]:
        """Yield what the server sends until it ends."""

    async def ended(self) -> None:
        """Return when the server has ended, whether or not its messages show it."""


class Requester(Protocol):
    """Sends requests to a server; a run does."""

    def answered(self, call: "Call", answer: JSONRPCResponse | JSONRPCError | Unreadable) -> None:
        """Take the answer to a request; its id is that of the server."""

    def notified(self, notification: JSONRPCNotification) -> None:
        """Take a notification that belongs to this run or to all."""


@dataclass(slots=True)
class Call:
    """A request in flight; `requester` is None after its run, `abandoned` says that nothing waits for the answer."""

    requester: Requester | None
    message: JSONRPCRequest
    abandoned: bool = False

    @property
    def progress_token(self) -> Any:
        """The token by which the requester recognizes notifications about the request."""
        meta = (self.message.params or {}).get("_meta")
        return meta.get("progressToken") if isinstance(meta, dict) else None


class Exchange:
    """Passes requests to a server, and each answer to its requester, until `run` returns.

    `handshake` is the server's answer to `initialize`, if the gateway itself has asked.
    """

    def __init__(self, name: str, transport: Transport) -> None:
        self.handshake: dict[str, Any] | None = None
        self._name, self._transport = name, transport
        self._ids = itertools.count(1)
        self._calls: dict[Any, Call] = {}
        self._news = 0
        self._first_unread: float = math.inf
        self._requesters: set[Requester] = set()
        self._over = asyncio.Event()
        self._has_noise = False

    async def run(self) -> None:
        """Take the server's messages until it ends, or is stuck."""
        async with anyio.create_task_group() as tasks:

            async def end_after(reason: Callable[[], Awaitable[object]]) -> None:
                await reason()
                tasks.cancel_scope.cancel()

            tasks.start_soon(end_after, self._transport.ended)
            tasks.start_soon(end_after, self._over.wait)
            async for message in self._transport.messages():
                self._take(message)
            tasks.cancel_scope.cancel()

    def ask(self, requester: Requester, request: JSONRPCRequest) -> str | None:
        """Send a request; return why it was not sent, or None."""
        if sum(call.requester is requester for call in self._calls.values()) >= MOST_CALLS:
            return f"More than {MOST_CALLS} requests of this run are in flight at the server"
        if len(self._calls) >= _MOST_CALLS_OF_ALL:
            return "Too many requests are in flight at the server"
        call, number = Call(requester, request), next(self._ids)
        params = request.params
        if params is not None and call.progress_token is not None:
            params = {**params, "_meta": {**params["_meta"], "progressToken": number}}
        try:
            data = dump(request.model_copy(update={"id": number, "params": params}))
        except (ValueError, RecursionError):
            return "The request is nested too deeply"
        if len(data) > _LARGEST_REQUEST:
            return f"The request is larger than {_LARGEST_REQUEST >> 20} MiB"
        if not self._transport.send(data):
            return "The server does not read its requests"
        self._calls[number] = call
        return None

    def notify(self, notification: JSONRPCNotification) -> None:
        """Send a notification, unless the server does not read."""
        self._transport.send(dump(notification))

    def cancel(self, requester: Requester, which: Callable[[JSONRPCRequest], bool]) -> JSONRPCRequest | None:
        """Cancel a request and return it; a late answer is dropped, and until then the request counts as in flight."""
        for number, call in self._calls.items():
            if call.requester is requester and not call.abandoned and which(call.message):
                self._abandon(number, call)
                return call.message
        return None

    def join(self, requester: Requester) -> None:
        """Send a run the notifications that belong to all."""
        self._requesters.add(requester)

    def release(self, requester: Requester) -> None:
        """Cancel all requests of a run that ends."""
        self._requesters.discard(requester)
        for number, call in self._calls.items():
            if call.requester is requester:
                if not call.abandoned:
                    self._abandon(number, call)
                call.requester = None

    def end(self) -> None:
        """Let `run` return."""
        self._over.set()

    def take_calls(self) -> tuple[list[Call], list[Call]]:
        """Forget the requests in flight; return those that are lost, and those that the server has not read."""
        calls, self._calls = {number: call for number, call in self._calls.items() if not call.abandoned}, {}
        lost = [call for number, call in calls.items() if number < self._first_unread]
        return lost, [call for number, call in calls.items() if number >= self._first_unread]

    def _abandon(self, number: int, call: Call) -> None:
        call.abandoned = True
        cancelled = {"requestId": number, "reason": "the run no longer waits for it"}
        self.notify(JSONRPCNotification(jsonrpc="2.0", method="notifications/cancelled", params=cancelled))
        # Any message shows that the server still works, such as its answer to this.
        ping = next(self._ids)
        self._transport.send(dump(JSONRPCRequest(jsonrpc="2.0", id=ping, method="ping")))
        if self.handshake is not None:  # nobody else waits for a server of one run
            asyncio.get_running_loop().call_later(_STUCK_AFTER, self._end_if_stuck, number, ping, self._news)

    def _end_if_stuck(self, number: int, ping: int, news: int) -> None:
        # An older request may be what it works on, and its run may still wait for that.
        if self._news == news and next(iter(self._calls), None) == number:
            event(log, "mcp_server_stuck", logging.WARNING, server=self._name)
            self._first_unread = min(self._first_unread, ping)
            self._over.set()

    def _take(self, message: Message | Unreadable) -> None:
        self._news += 1
        match message:
            case JSONRPCResponse() | JSONRPCError() | Unreadable():
                self._answer(message)
            case JSONRPCRequest():
                self._transport.send(dump(_refused(message)))
            case JSONRPCNotification(method="notifications/progress"):
                params = message.params or {}
                call = self._calls.get(_hashable(params.get("progressToken")))
                if call is not None and call.requester is not None and not call.abandoned:
                    params = {**params, "progressToken": call.progress_token}
                    call.requester.notified(message.model_copy(update={"params": params}))
            case JSONRPCNotification(method=str(method)) if method.endswith("/list_changed"):
                for requester in self._requesters:
                    requester.notified(message)
            case _:
                pass

    def _answer(self, message: JSONRPCResponse | JSONRPCError | Unreadable) -> None:
        call = self._calls.pop(_hashable(message.id), None)
        if isinstance(message, Unreadable) and not self._has_noise:
            self._has_noise = True
            event(log, "mcp_message_unreadable", logging.WARNING, server=self._name, too_large=message.too_large)
        if call is None or call.requester is None or call.abandoned:
            return
        if isinstance(message, JSONRPCResponse):
            message = message.model_copy(update={"result": finite(message.result)})
            if call.message.method == "tools/list":
                allow_large_results(message.result)
        elif isinstance(message, JSONRPCError):
            message = message.model_copy(update={"error": finite_error(message.error)})
        call.requester.answered(call, message)


def _refused(request: JSONRPCRequest) -> Message:
    """Answer a request of a server: no run samples, has roots or asks its user for a server."""
    if request.method == "ping":
        return JSONRPCResponse(jsonrpc="2.0", id=request.id, result={})
    error = ErrorData(code=METHOD_NOT_FOUND, message="The gateway does not support requests of a server")
    return JSONRPCError(jsonrpc="2.0", id=request.id, error=error)


def _hashable(value: Any) -> Any:
    return value if isinstance(value, int | str) else None
