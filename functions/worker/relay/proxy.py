"""The relay's server on loopback of a run, for its tools: an HTTP proxy that takes CONNECT, and git's requests.

The method and the target of a request decide who answers it.
"""

import asyncio
import logging
import re
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from functions.worker.relay.dialing import Streams, dial
from functions.worker.relay.egress import MAX_CONNECTIONS, MAX_OPEN, Connection, Egress, EgressError
from functions.worker.relay.git import forward
from functions.worker.relay.heads import END, MAX_HEAD, RequestHead
from functions.worker.relay.tunnel import end, send, tunnel
from shared.logs import event

log = logging.getLogger("worker.relay")

# Seconds until a head is whole, and until a run has ended a connection that is over.
_HEAD_WITHIN, _CLOSE_WITHIN = 10.0, 2.0
# Connections at the same time, those that are only answered included; more are cut.
_MOST_ANSWERED = 2 * MAX_OPEN
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_REQUEST_LINE = re.compile(rb"([A-Za-z]{1,20}) ([!-~]{1,4096}) HTTP/1\.[01]")


Handler = Callable[[RequestHead, Streams, Connection], Coroutine[Any, Any, None]]


class RunProxy:
    """Answers the requests of one run, from `start` to `end`."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, listener: socket.socket) -> None:
        """Accept connections on a socket of the run's sandbox."""
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=MAX_HEAD)

    def end(self) -> None:
        """Stop listening, and end every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()

    async def wait(self) -> None:
        """Wait until every connection has ended."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= _MOST_ANSWERED:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve((reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _task: writer.transport.abort())

    async def _serve(self, near: Streams) -> None:
        try:
            if self._egress.is_used_up:
                await _request(near[0])
                send(near[1], _answer(EgressError(503, "refused", f"The run has made {MAX_CONNECTIONS} connections")))
            else:
                await self._serve_counted(near)
            await _close(near)
        except (OSError, EgressError):
            pass  # the run has cut the connection, or does not end it
        except Exception as error:  # noqa: BLE001 -- the run sees a cut connection, the operator what it was
            event(log, "relay_failed", logging.ERROR, error=type(error).__name__)

    async def _serve_counted(self, near: Streams) -> None:
        connection = self._egress.begin()
        try:
            await self._respond(near, connection)
            connection.outcome = "closed"
        except EgressError as error:
            connection.outcome, connection.reason = error.outcome, error.reason
            if not connection.is_open:
                send(near[1], _answer(error))
        finally:
            self._egress.end(connection)

    async def _respond(self, near: Streams, connection: Connection) -> None:
        request = await _request(near[0])
        if len(self._tasks) > MAX_OPEN:
            raise EgressError(503, "refused", f"The run has {MAX_OPEN} connections", "Close some of them")
        await self._handler(request)(request, near, connection)

    def _handler(self, request: RequestHead) -> Handler:
        """Return the handler of a request; raise EgressError for a request without one."""
        git = self._egress.policy.git
        if request.method == "CONNECT":
            return self._connect
        if git is not None and request.target.startswith(f"{git.prefix}/"):
            return self._forward
        advice = "This proxy takes CONNECT for https:// URLs of the hosts in RUN_ALLOWED_HOSTS"
        raise EgressError(405, "refused", "Plain HTTP is not allowed", advice)

    async def _forward(self, request: RequestHead, near: Streams, connection: Connection) -> None:
        git = self._egress.policy.git
        assert git is not None  # noqa: S101 -- as the handler has found
        try:
            await forward(git, request, near, connection, self._egress)
        except EgressError as error:
            self._egress.git_failure = self._egress.git_failure or error
            raise

    async def _connect(self, request: RequestHead, near: Streams, connection: Connection) -> None:
        place = self._egress.check(request.target, connection)
        far = await dial(place, self._egress)
        try:
            connection.is_open = send(near[1], b"HTTP/1.1 200 Connected" + END)
            await tunnel(near, far, self._egress, connection)
            far[1].close()
            with suppress(OSError):
                async with asyncio.timeout(_CLOSE_WITHIN):
                    await far[1].wait_closed()
        finally:
            far[1].transport.abort()


async def _request(reader: asyncio.StreamReader) -> RequestHead:
    """Return the head of a request; raise EgressError."""
    try:
        async with asyncio.timeout(_HEAD_WITHIN):
            head = await reader.readuntil(END)
    except TimeoutError:
        raise EgressError(408, "refused", f"No request within {_HEAD_WITHIN:.0f} s") from None
    except asyncio.LimitOverrunError:
        raise EgressError(431, "refused", f"The head has more than {MAX_HEAD} bytes") from None
    except (asyncio.IncompleteReadError, ConnectionError):
        raise EgressError(400, "closed", "The run closed the connection") from None
    first, *lines = head.removesuffix(END).split(b"\r\n")
    found = _REQUEST_LINE.fullmatch(first)
    # A line feed alone would begin another header for some servers.
    if found is None or _CONTROL.search(head.replace(b"\r\n", b"")):
        raise EgressError(400, "refused", "Malformed request", "Send CONNECT HOST:443 HTTP/1.1")
    pairs = (line.decode("latin-1").partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    return RequestHead(found[1].decode().upper(), found[2].decode(), headers)


async def _close(near: Streams) -> None:
    """Close a connection when the run has: with unread bytes, it would lose the answer."""
    reader, writer = near
    end(writer)
    async with asyncio.timeout(_CLOSE_WITHIN):
        while await reader.read(MAX_HEAD):
            pass
        writer.close()
        await writer.wait_closed()


def _answer(error: EgressError) -> bytes:
    """Return a response; programs show its first line, and only some of them its body."""
    body = f"{error.message}.\n".encode()
    lines = [
        f"HTTP/1.1 {error.status} {error.reason}",
        "content-type: text/plain; charset=utf-8",
        f"content-length: {len(body)}",
        *(["allow: CONNECT"] if error.status == 405 else []),
        "connection: close",
    ]
    return "\r\n".join(lines).encode() + END + body
