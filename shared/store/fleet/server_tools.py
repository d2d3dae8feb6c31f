"""The tools of the MCP servers, as a worker has read them, by the digest of a server's entry."""

from collections.abc import Mapping

import redis.asyncio

from shared.mcp.tools import Tools, parse, to_json
from shared.store import keys

# Seconds for which tools are kept, after which a worker reads them again, and which a worker has to read them.
_KEPT_FOR, _READ_EVERY, _READ_WITHIN = 7 * 86_400, 86_400, 60


async def read(client: redis.asyncio.Redis, digests: Mapping[str, str]) -> dict[str, Tools]:
    """Return the tools of the named servers that a worker has read."""
    if not digests:
        return {}
    found = await client.mget([_key(digest) for digest in digests.values()])
    return {name: parse(text) for name, text in zip(digests, found, strict=True) if text}


async def begin(client: redis.asyncio.Redis, digest: str) -> bool:
    """Return whether the caller is to read the tools of a server: no worker does, or has lately."""
    return bool(await client.set(f"{_key(digest)}:read", "", nx=True, ex=_READ_WITHIN))


async def keep(client: redis.asyncio.Redis, digest: str, tools: Tools) -> None:
    """Keep the tools of a server."""
    await client.set(_key(digest), to_json(tools), ex=_KEPT_FOR)
    await client.expire(f"{_key(digest)}:read", _READ_EVERY)


def _key(digest: str) -> str:
    return f"{keys.PREFIX}tools:{digest}"
