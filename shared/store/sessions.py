"""Logins to the dashboard, and wrong passwords."""

import hashlib
import secrets
from typing import Literal, cast

import redis.asyncio

from shared.store import keys

Role = Literal["admin", "viewer"]

# A login ends after so long without a request; s.
IDLE = 8 * 3600
# Wrong passwords that one address has a minute, and all addresses together.
_GUESSES, _ALL_GUESSES, _WITHIN = 5, 100, 60


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


async def begin(client: redis.asyncio.Redis, role: Role) -> str:
    """Begin a login; return its token, which is stored hashed."""
    token = secrets.token_urlsafe(32)
    await client.set(keys.session(_digest(token)), role, ex=IDLE)
    return token


async def role_of(client: redis.asyncio.Redis, token: str) -> Role | None:
    """Return the role of a login, which lives on with it; None for a token that is not one."""
    return cast("Role | None", await client.getex(keys.session(_digest(token)), ex=IDLE))


async def end(client: redis.asyncio.Redis, token: str) -> None:
    """End a login."""
    await client.delete(keys.session(_digest(token)))


async def locked_for(client: redis.asyncio.Redis, address: str) -> int:
    """Return for how many s no password of an address is looked at; 0 when it is."""
    async with client.pipeline(transaction=False) as pipe:
        for name in (address, "all"):
            pipe.get(keys.guesses(name))
            pipe.ttl(keys.guesses(name))
        mine, my_ttl, everybodys, their_ttl = await pipe.execute()
    locked = 0
    if int(mine or 0) >= _GUESSES:
        locked = max(locked, my_ttl)
    if int(everybodys or 0) >= _ALL_GUESSES:
        locked = max(locked, their_ttl)
    return locked


async def guessed_wrong(client: redis.asyncio.Redis, address: str) -> None:
    """Count a wrong password."""
    async with client.pipeline(transaction=True) as pipe:
        for name in (address, "all"):
            pipe.incr(keys.guesses(name))
            pipe.expire(keys.guesses(name), _WITHIN)
        await pipe.execute()
