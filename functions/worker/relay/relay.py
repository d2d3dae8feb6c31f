"""The relay of a slot: the one way from its runs to Claude.

Each run has a Unix socket in its own directory. The socket identifies the run of a request, so there is nothing to
authenticate. Until a run has begun, and after its end, every request is refused.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from functions.worker.relay import rehearsal
from functions.worker.relay.credential import Credential
from functions.worker.relay.exchange import ask, exchange, refuse
from functions.worker.relay.heads import Head
from functions.worker.relay.policy import Refusal
from functions.worker.relay.proxy import RunProxy
from functions.worker.relay.run import Ended, Failure, RelayedRun
from functions.worker.relay.server import Budget, RunConnection
from functions.worker.relay.upstream import Upstream
from shared.logs import event

log = logging.getLogger("worker.relay")

# Bytes of a socket's path: the kernel takes 107, and a sandbox may add to it.
MAX_PATH = 100
Listen = Callable[[], Coroutine[Any, Any, socket.socket]]
_NO_RUN = Refusal("invalid_request", "No run may use this relay now")


class Line:
    """A run's socket, from `open` to `close`; `begin` says what the run may do."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._run: RelayedRun | None = None
        self._budget = Budget()
        self._server: asyncio.Server | None = None
        self._proxy: RunProxy | None = None
        self._opening: asyncio.Task[None] | None = None
        # The question of a waiting CLI that is answered here, until the run has asked Claude: a tool may find it later.
        self.rehearsal = uuid4().hex

    async def open(self, path: Path) -> None:
        """Listen on a path, whose directory no other user can enter."""
        self._server = await asyncio.get_running_loop().create_unix_server(
            lambda: RunConnection(self._handle, self._budget), sock=_bound(path)
        )

    def begin(self, run: RelayedRun) -> None:
        """Let a run use it."""
        self._run = run
        self._upstream.prepare()

    def open_network(self, listen: Listen) -> None:
        """Begin to serve the run's tools on a socket of its sandbox; requests to Claude wait until that is done."""
        self._opening = asyncio.create_task(self._open_network(listen))

    async def _open_network(self, listen: Listen) -> None:
        run = self._run
        try:
            listener = await listen()
        except OSError as error:
            event(log, "run_network_failed", logging.ERROR, error=error.strerror or str(error))
            if run is not None:
                run.end(Ended("server_error"))
            return
        if run is None or run.egress is None:
            listener.close()
            return
        self._proxy = RunProxy(run.egress)
        await self._proxy.start(listener)

    def end(self) -> None:
        """Refuse everything from now on, and end what is in flight."""
        self._run = None
        if self._opening is not None:
            self._opening.cancel()
        if self._proxy is not None:
            self._proxy.end()
        for connection in list(self._budget.connections):
            connection.abort()

    async def close(self) -> None:
        """Stop listening, and end what is in flight."""
        connections = list(self._budget.connections)
        self.end()
        if self._server is not None:
            self._server.close()
        for connection in connections:
            await connection.wait()
        if self._opening is not None:
            await asyncio.wait({self._opening})
        if self._proxy is not None:
            await self._proxy.wait()

    async def _handle(self, head: Head, method: str, body: bytes, connection: RunConnection) -> None:
        is_reached = self._run is not None and self._run.requested.is_set()
        if not is_reached and self.rehearsal.encode() in body:
            rehearsal.answer(connection)
            return
        if self._opening is not None:
            await asyncio.wait({self._opening})
        if self._run is None:
            refuse(connection, _NO_RUN)
            event(log, "relay_refused", logging.WARNING, reason="no run")
            return
        await exchange(head, method, body, connection, self._run, self._upstream)


def _bound(path: Path) -> socket.socket:
    """Return a socket that is bound to a path, which may be longer than an address."""
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        short = len(os.fsencode(path)) <= MAX_PATH
        found.bind(str(path) if short else f"/proc/self/fd/{folder}/{path.name}")
        found.setblocking(False)
    except BaseException:
        found.close()
        raise
    finally:
        os.close(folder)
    return found


class Relay:
    """The credential and the connections to Claude that the runs of a slot share, and that outlive them."""

    def __init__(self, credential: Credential, environ: Mapping[str, str], silence: float) -> None:
        self.credential = credential
        self.environ = environ
        self._upstream = Upstream(credential, environ, silence)

    def line(self) -> Line:
        """Return a new run's socket, to be opened."""
        return Line(self._upstream)

    async def ask(self, target: str, headers: Mapping[str, str], body: bytes) -> bytes | Failure:
        """Send a request of no run once; return the body of its answer, or why it failed."""
        found = await ask(self._upstream, target, headers, body, None)
        if isinstance(found, Failure):
            return found
        answer, _ = found
        try:
            whole = await answer.ended
        except BaseException:
            answer.abort()
            raise
        return answer.body if whole else Failure(None, None, "The answer was cut")

    async def close(self) -> None:
        """Close the connections to Claude."""
        await self._upstream.close()
