"""The MCP servers, as the router sees them."""

from typing import Any

from shared.api.errors import NotFound
from shared.configuration.settings import AdminSettings
from shared.mcp.config import Server
from shared.mcp.tools import Tools
from shared.services import routing
from shared.services.servers import as_wire
from shared.store.fleet import learned, server_tools
from shared.store.redis.client import async_client


async def listed(settings: AdminSettings) -> dict[str, Any]:
    """List the servers with the tools that a worker has read. Commands, addresses and headers may hold secrets."""
    client = async_client(settings.redis_address)
    tools = await server_tools.read(client, settings.server_digests)
    uses = await learned.totals(client, settings.server_digests) if settings.mcp_learn else {}
    shown = [_server(name, server, tools.get(name), uses.get(name)) for name, server in settings.servers.items()]
    return {"enabled": settings.mcp_enabled, "servers": shown}


async def forget(settings: AdminSettings) -> list[str]:
    """Delete what was learned of the servers, and return their names; raises NotFound without MCP_LEARN."""
    if not settings.mcp_enabled or not settings.mcp_learn:
        raise NotFound("MCP_LEARN is false")
    await learned.forget(async_client(settings.redis_address), list(settings.server_digests.values()))
    return sorted(settings.server_digests)


def _server(name: str, server: Server, tools: Tools | None, used: tuple[int, int] | None) -> dict[str, Any]:
    words = server.routing
    return {
        "name": name,
        "type": server.type,
        "shared": server.shared,
        "required": words.required,
        "always": words.always,
        "description": words.description,
        "keywords": list(words.keywords),
        "examples": list(words.examples),
        "allowedTools": None if words.tools is None else list(words.tools),
        # Null until a worker has started the server and read them.
        "tools": None if tools is None else [{"name": one.name, "description": one.description} for one in tools],
        # Jobs of the last 30 to 60 days that were offered the server, and those that called it. Null without MCP_LEARN.
        "learned": None if used is None else {"offered": used[0], "used": used[1]},
    }


async def route(query: str, settings: AdminSettings) -> dict[str, Any]:
    """Return the servers that a query gets and all scores; raises NotFound without MCP_ENABLED."""
    if not settings.mcp_enabled:
        raise NotFound("MCP_ENABLED is false")
    names, scores = await routing.choose(query, settings)
    return {"servers": names, "scores": as_wire(scores)}
