"""Reads the list of tools of each MCP server for the router, once for all workers, and keeps it in Redis."""

import asyncio
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import anyio
from redis.exceptions import RedisError

from functions.worker.cli.removal import remove_tree
from functions.worker.mcp.asking import ask, shake_hands
from functions.worker.mcp.connecting import cause, connected
from functions.worker.mcp.exchange import Exchange
from shared.configuration.settings import WorkerSettings
from shared.logs import event
from shared.mcp.config import Server
from shared.mcp.tools import MOST_TOOLS, Tools, listed
from shared.store.fleet import server_tools
from shared.store.redis.client import async_client

log = logging.getLogger("worker.mcp")

# Seconds between two looks whether tools are to be read, and seconds and pages of a list that a server may take.
_LOOK_EVERY, _WITHIN, _MOST_PAGES = 60.0, 20.0, 20


class ToolReader:
    """Reads the tools of the servers of a slot whose tools no other slot has read lately."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.pids: set[int] = set()
        self.is_spawning = False
        self._settings = settings
        # A credential of a caller is in a run only.
        self._servers = {name: server for name, server in settings.servers.items() if not server.credentials}

    async def run(self) -> None:
        """Read what is to be read, at once and then every minute, until cancelled."""
        client = async_client(self._settings.redis_address)
        while self._servers:
            for name, server in self._servers.items():
                digest = self._settings.server_digests[name]
                try:
                    if await server_tools.begin(client, digest):
                        tools = await self._read(server)
                        await server_tools.keep(client, digest, tools)
                        event(log, "mcp_tools_read", server=name, tools=len(tools))
                except RedisError:
                    break  # the heartbeat reports it
                except Exception as error:  # noqa: BLE001 -- a server's transport breaks in any way it likes
                    event(log, "mcp_tools_not_read", logging.WARNING, server=name, error=cause(error))
            await asyncio.sleep(_LOOK_EVERY)

    async def _read(self, server: Server) -> Tools:
        """Start a server or connect to it, and return its tools that the entry allows."""
        # The pool removes what has such a name when the slot was killed.
        folder = Path(tempfile.mkdtemp(prefix=f"claude-run-{os.getpid()}-mcp-"))
        found: list[Any] = []
        self.is_spawning = server.type == "stdio"
        try:
            with anyio.fail_after(_WITHIN):
                async with connected(server, folder, self.pids) as transport:
                    self.is_spawning = False
                    exchange = Exchange("", transport)
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(_serve, exchange)
                        found = await _list(exchange)
                        tasks.cancel_scope.cancel()
        finally:
            self.is_spawning = False
            remove_tree(folder)
        allowed = server.routing.tools
        return tuple(tool for tool in listed(found) if allowed is None or tool.name in allowed)


async def _serve(exchange: Exchange) -> None:
    await exchange.run()
    raise ConnectionError("the server ended")


async def _list(exchange: Exchange) -> list[Any]:
    await shake_hands(exchange)
    found: list[Any] = []
    params: dict[str, Any] = {}
    for _ in range(_MOST_PAGES):
        answer = await ask(exchange, "tools/list", params)
        page, cursor = answer.get("tools"), answer.get("nextCursor")
        found += page if isinstance(page, list) else []
        if not isinstance(cursor, str) or len(found) >= MOST_TOOLS:
            break
        params = {"cursor": cursor}
    return found
