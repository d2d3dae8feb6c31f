"""The MCP servers of one run: outside its sandbox, and offered to the CLI over its own pipes.

The SDK takes each for an MCP server in this process. It is none: requests and answers pass between the CLI and the real
server, which runs for this run alone, or is shared with the runs before and after it.
"""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from mcp.shared.message import SessionMessage

from functions.worker.mcp.connecting import cause, connected
from functions.worker.mcp.exchange import Exchange
from functions.worker.mcp.link import Link
from functions.worker.mcp.shared import SharedServer, SharedServers
from shared.logs import event
from shared.mcp.config import Server, Servers

log = logging.getLogger("worker.mcp")
# They log addresses and what servers say; a run's record names the servers that failed.
for _name in ("mcp", "claude_agent_sdk._internal.sdk_mcp_bridge"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


Permits = Callable[[str, str, Any], bool]
"""Returns whether a call of a server's tool, with these arguments, may reach the server."""


class Broker:
    """Connects the CLI with the servers of its run.

    `gone` names those that did not start, or that the run lost; `cut` the tools whose results were discarded.
    """

    def __init__(
        self, servers: Servers, folder: Path, shared: SharedServers | None = None, permits: Permits | None = None
    ) -> None:
        self.gone: set[str] = set()
        self.cut: set[str] = set()
        self._servers = servers
        self._folder = folder
        self._shared = shared
        self._permits = permits
        self._links: dict[str, Link] = {}

    @property
    def called(self) -> frozenset[str]:
        """The servers whose tools the run has called."""
        return frozenset(name for name, link in self._links.items() if link.called)

    def configuration(self) -> dict[str, Any]:
        """Return the servers as the SDK takes them."""
        return {
            name: {"type": "sdk", "name": name, "instance": self._connection(name, server)}
            for name, server in self._servers.items()
        }

    def _connection(self, name: str, server: Server) -> "_Connection":
        shared = self._shared.get(name) if self._shared is not None and server.shared else None
        link = Link(server, lambda: self.gone.add(name), lambda tool: self.cut.add(f"mcp__{name}__{tool}"))
        if self._permits is not None:
            link.permits = partial(self._permits, name)
        self._links[name] = link
        return _Connection(name, server, self._folder / f"mcp-{name}", link, shared)


class _Connection:
    """Stands where the SDK expects an `mcp.server.Server`."""

    def __init__(self, name: str, server: Server, folder: Path, link: Link, shared: SharedServer | None) -> None:
        self._name, self._server, self._folder = name, server, folder
        self._link, self._shared = link, shared

    def create_initialization_options(self) -> None:
        """Return nothing: the real server says what it can do."""

    async def run(self, from_cli: Any, to_cli: Any, _options: None, **_more: object) -> None:
        """Pass messages between the CLI and the server until the CLI ends, also when the server ends before."""
        link = self._link
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(link.deliver, to_cli)
            tasks.start_soon(self._reach)
            try:
                async for item in from_cli:
                    if isinstance(item, SessionMessage):
                        link.take(item.message)
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                pass
            finally:
                link.release()
            tasks.cancel_scope.cancel()

    async def _reach(self) -> None:
        if self._shared is not None:
            with self._shared.joined(self._link):
                await anyio.sleep_forever()
        exchange = None
        try:
            async with connected(self._server, self._folder) as transport:
                exchange = Exchange(self._name, transport)
                self._link.attach(exchange)
                await exchange.run()
        except Exception as error:  # noqa: BLE001 -- a server's transport breaks in any way it likes
            event(log, "mcp_server_failed", logging.WARNING, server=self._name, error=cause(error))
        # The SDK would report every later call in words of its own.
        self._link.detach(*(exchange.take_calls() if exchange is not None else ([], [])))
        self._link.close()
