"""The relay's side towards a run: HTTP on a Unix socket, one request at a time on each connection."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, cast

import httptools

from functions.worker.relay.heads import END, MAX_HEAD, Head, answer_head
from functions.worker.relay.peer import is_own
from shared.logs import event

log = logging.getLogger("worker.relay")

# The Messages API takes no larger body.
MAX_BODY = 32 << 20
# Limits of a run in the relay: bytes in memory, and connections.
_MOST_HELD = 96 << 20
MAX_CONNECTIONS = 64

Handler = Callable[[Head, str, bytes, "RunConnection"], Coroutine[Any, Any, None]]


class Budget:
    """The memory that the connections of one run hold together."""

    def __init__(self) -> None:
        self.connections: set[RunConnection] = set()
        self.held = 0


class RunConnection(asyncio.Protocol):
    """A connection of a run's; a request that is too large or malformed ends it."""

    def __init__(self, handler: Handler, budget: Budget) -> None:
        self._handler = handler
        self._budget = budget
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._resume: Callable[[], None] | None = None
        self.is_full = False
        self._held = 0
        self._is_refused = False
        self._early: list[bytes] = []
        self._reset()

    def _reset(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._head = Head()
        self._head_size = self._header_size = 0
        self._in_body = False
        self._keeps = False
        self._body: list[bytes] = []
        self._hold(0)

    def _hold(self, size: int) -> None:
        self._budget.held += size - self._held
        self._held = size

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection of a process of this slot, if the run has not too many."""
        self._transport = cast("asyncio.Transport", transport)
        self._budget.connections.add(self)
        if len(self._budget.connections) > MAX_CONNECTIONS:
            self._transport.abort()
        elif not is_own(transport):
            event(log, "relay_refused", logging.WARNING, reason="a process of another slot")
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- whatever the reason
        """End the request in flight: its answer has no reader."""
        self._budget.connections.discard(self)
        self._hold(0)
        self._resume = None
        self._transport = None
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Read a request."""
        if self._is_refused:
            return
        if self._task is not None:
            self._keep_early(data)
            return
        if not self._in_body:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self._transport is not None and self._task is None:
                self._refuse(400)
            else:
                self.abort()
            return
        if not self._in_body and self._task is None and self._head_size > MAX_HEAD:
            self._refuse(431)

    def _keep_early(self, data: bytes) -> None:
        """Keep what comes before `finish`: a client may send its next request once it has read the end of an answer."""
        self._early.append(data)
        self._hold(self._held + len(data))
        if self._budget.held > _MOST_HELD:
            self.abort()

    def _refuse(self, status: int) -> None:
        if self._transport is not None and not self._is_refused:
            self._is_refused = True
            self._transport.write(answer_head(status, {"content-length": "0"}, close=True))
            self._transport.close()

    def abort(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()

    # Callbacks of the parser.

    def on_message_begin(self) -> None:
        """Refuse a second request behind the first."""
        if self._task is not None:
            raise httptools.HttpParserError

    def on_url(self, url: bytes) -> None:
        """Take the target, which may come in pieces."""
        self._head.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are left out."""
        if self._in_body:
            return
        self._header_size += len(name) + len(value)
        if self._header_size > MAX_HEAD:
            self._refuse(431)
            raise httptools.HttpParserError
        self._head.add(name, value)

    def on_headers_complete(self) -> None:
        """Check the size before the body comes, and ask for it if the run waits for that."""
        self._in_body = True
        self._keeps = self._parser.should_keep_alive()
        length = self._head.headers.get("content-length", "0")
        if self._head.is_ambiguous or not length.isdecimal():
            raise httptools.HttpParserError
        if int(length) > MAX_BODY:
            self._refuse(413)
            raise httptools.HttpParserError
        if self._head.headers.get("expect", "").lower() == "100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue" + END)

    def on_body(self, body: bytes) -> None:
        """Take bytes of the body."""
        self._body.append(body)
        self._hold(self._held + len(body))
        if self._held > MAX_BODY or self._budget.held > _MOST_HELD:
            self._refuse(413)
            raise httptools.HttpParserError

    def on_message_complete(self) -> None:
        """Start the exchange of a complete request."""
        method = self._parser.get_method().decode("latin-1")
        head, body = self._head, b"".join(self._body)
        self._body = []
        self._task = asyncio.get_running_loop().create_task(self._answer(head, method, body))

    async def _answer(self, head: Head, method: str, body: bytes) -> None:
        try:
            await self._handler(head, method, body, self)
        except Exception as error:  # noqa: BLE001 -- the run sees a cut connection, the operator what it was
            event(log, "relay_failed", logging.ERROR, error=type(error).__name__)
            self.abort()

    # Methods for the exchange.

    def write(self, data: bytes) -> None:
        """Write bytes of an answer."""
        if self._transport is not None:
            self._transport.write(data)

    def on_room(self, resume: Callable[[], None]) -> None:
        """Call `resume` when there is room again."""
        self._resume = resume

    def finish(self, *, keep: bool) -> None:
        """End the answer; without `keep` the connection too."""
        self._resume, self._task = None, None
        keep = keep and self._keeps
        early, self._early = b"".join(self._early), []
        self._reset()
        if self._transport is not None and not keep:
            self._transport.close()
        elif early:
            self.data_received(early)

    def pause_writing(self) -> None:
        """Take note that the run reads more slowly than Claude writes."""
        self.is_full = True

    def resume_writing(self) -> None:
        """Read on from Claude."""
        self.is_full = False
        if self._resume is not None:
            self._resume()

    async def wait(self) -> None:
        """Wait for the end of the request in flight."""
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task
