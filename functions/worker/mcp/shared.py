"""MCP servers with `"shared": true`: each slot keeps one process, or one connection, for all of its runs."""

import asyncio
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio

from functions.worker.cli.removal import remove_tree
from functions.worker.mcp.asking import shake_hands
from functions.worker.mcp.connecting import cause, connected
from functions.worker.mcp.exchange import Exchange
from functions.worker.mcp.link import Link
from functions.worker.pool.tasks import end
from shared.configuration.settings import WorkerSettings
from shared.host import processes
from shared.logs import event
from shared.mcp.config import Server

log = logging.getLogger("worker.mcp")

# Seconds that a server has to answer the handshake, as a server of one run has.
_START_WITHIN = 10.0
# Seconds before a server that has ended is started again: doubled each time, unless it ran for `_LONG`.
_BACKOFF_FIRST, _BACKOFF_LAST, _LONG = 0.5, 60.0, 60.0
# Seconds that a run waits for the next start; with more to wait it goes on without the server.
_WORTH_WAITING = 2.0
_LOOK_EVERY = 1.0
# Capabilities of a server that runs may use although it is shared.
_SHOWN = {"tools", "resources", "prompts", "completions"}


class SharedServers:
    """The shared servers of a slot."""

    def __init__(self, settings: WorkerSettings) -> None:
        entries = settings.servers if settings.mcp_enabled else {}
        self._servers = {
            name: SharedServer(name, server, settings) for name, server in entries.items() if server.shared
        }

    def start(self) -> None:
        """Start all, without waiting for them."""
        for server in self._servers.values():
            server.start()

    def get(self, name: str) -> "SharedServer | None":
        """Return a server, which is started if it was not."""
        return self._servers.get(name)

    @property
    def pids(self) -> set[int]:
        """The processes that were started; their children are not in it."""
        return {pid for server in self._servers.values() for pid in server.pids}

    @property
    def is_spawning(self) -> bool:
        """Whether a process exists whose id is not known yet."""
        return any(server.is_spawning for server in self._servers.values())

    async def close(self) -> None:
        """End all, with their processes."""
        await asyncio.gather(*(server.close() for server in self._servers.values()))


class SharedServer:
    """Keeps one server running from `start` to `close`, and connects runs with it."""

    def __init__(self, name: str, server: Server, settings: WorkerSettings) -> None:
        self.pids: set[int] = set()
        self.is_spawning = False
        self._name, self._server, self._settings = name, server, settings
        self._exchange: Exchange | None = None
        self._links: set[Link] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._next_start = 0.0

    def start(self) -> None:
        """Start the server, once, and keep it running."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """End the server and its processes."""
        if self._keeper is not None:
            await end(self._keeper)

    @contextmanager
    def joined(self, link: Link) -> Iterator[None]:
        """Connect a run with the server, whenever that runs."""
        self.start()
        self._links.add(link)
        link.may_wait = self._may_wait
        try:
            if self._exchange is not None:
                link.attach(self._exchange)
            elif not self._may_wait():
                link.refuse_held()
            yield
        finally:
            self._links.discard(link)

    def _may_wait(self) -> bool:
        """Return whether the server starts soon enough for a run to wait for it."""
        return asyncio.get_running_loop().time() + _WORTH_WAITING >= self._next_start

    async def _keep(self) -> None:
        loop, pause = asyncio.get_running_loop(), 0.0
        while True:
            began, reason = loop.time(), "ended"
            try:
                await self._run()
            except Exception as error:  # noqa: BLE001 -- a server's transport breaks in any way it likes
                reason = cause(error)
            event(log, "shared_mcp_server_ended", logging.WARNING, server=self._name, reason=reason)
            pause = (
                _BACKOFF_FIRST if loop.time() - began > _LONG else min(max(2 * pause, _BACKOFF_FIRST), _BACKOFF_LAST)
            )
            self._next_start = loop.time() + pause
            await asyncio.sleep(pause)

    async def _run(self) -> None:
        """Run the server once, until it ends or exceeds its bounds."""
        # The pool removes what has such a name when the slot was killed.
        folder = Path(tempfile.mkdtemp(prefix=f"claude-run-{os.getpid()}-mcp-"))
        exchange: Exchange | None = None
        self.is_spawning = self._server.type == "stdio"
        try:
            async with connected(self._server, folder, self.pids) as transport:
                self.is_spawning = False
                exchange = Exchange(self._name, transport)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._serve, exchange, tasks.cancel_scope)
                    with anyio.fail_after(_START_WITHIN):
                        exchange.handshake = await _shake_hands(exchange)
                    self._exchange = exchange
                    for link in self._links:
                        link.attach(exchange)
                    await self._exceeds_bounds()
                    tasks.cancel_scope.cancel()
        finally:
            self.is_spawning = False
            was_up, self._exchange = self._exchange is not None, None
            lost, unread = exchange.take_calls() if exchange is not None else ([], [])
            for link in self._links:
                link.detach(lost, unread)
                if not was_up:
                    link.refuse_held()
            remove_tree(folder)

    async def _serve(self, exchange: Exchange, scope: anyio.CancelScope) -> None:
        await exchange.run()
        scope.cancel()

    async def _exceeds_bounds(self) -> None:
        """Return when the server has more memory or processes than a run may have."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            pids = [one for pid in self.pids for one in (pid, *processes.descendants(pid))]
            memory = sum(map(processes.own_memory, pids))
            if len(pids) > self._settings.max_run_processes or memory > self._settings.max_run_memory:
                event(
                    log, "mcp_server_exceeds_bounds", logging.WARNING,
                    server=self._name, processes=len(pids), memory=memory,
                )  # fmt: skip
                return


async def _shake_hands(exchange: Exchange) -> dict[str, Any]:
    """Initialize a server, and return its answer without what runs may not use of a shared server."""
    result = await shake_hands(exchange)
    capabilities = result.get("capabilities")
    capabilities = capabilities if isinstance(capabilities, dict) else {}
    return {**result, "capabilities": {name: value for name, value in capabilities.items() if name in _SHOWN}}
