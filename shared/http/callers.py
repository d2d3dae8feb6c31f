"""Identify the caller by the API key of the request."""

import time
from collections import OrderedDict

from fastapi import Request

from shared.api.errors import Unauthorized
from shared.configuration.settings import CommonSettings
from shared.http.headers import credentials
from shared.http.query import refuse_unknown
from shared.store import keys
from shared.store.callers import callers
from shared.store.redis.client import async_client

# A known key is cached for this long. During it a revoked key can still read, but not submit; s.
_CACHE_SECONDS = 2.0
_CACHE_SIZE = 10_000
_cache: OrderedDict[str, tuple[float, str]] = OrderedDict()


async def caller_of(request: Request, settings: CommonSettings) -> str:
    """Return the id of the caller; raises Unauthorized without a valid key.

    Raises InvalidRequest for an unknown query parameter, after the authentication.
    """
    caller = await require_key(request, settings) if settings.auth else keys.ANONYMOUS
    refuse_unknown(request)
    return caller


async def require_key(request: Request, settings: CommonSettings) -> str:
    """Return the id of the caller, even if AUTH_ENABLED is false; raises Unauthorized."""
    key = _key_in(request)
    if key is None:
        raise Unauthorized(
            "API key required: send it as Authorization: Bearer KEY or X-API-Key: KEY",
            headers={"WWW-Authenticate": "Bearer"},
        )
    cached = _cache.get(key)
    if cached is not None and cached[0] > time.monotonic():
        return cached[1]
    caller = await callers.find(async_client(settings.redis_address), key)
    if caller is None:
        _cache.pop(key, None)
        challenge = 'Bearer error="invalid_token"'
        raise Unauthorized("Invalid API key", headers={"WWW-Authenticate": challenge})
    _cache[key] = (time.monotonic() + _CACHE_SECONDS, caller.id)
    _cache.move_to_end(key)
    while len(_cache) > _CACHE_SIZE:
        _cache.popitem(last=False)
    return caller.id


def _key_in(request: Request) -> str | None:
    scheme, key = credentials(request.headers)
    if scheme == "bearer" and key:
        return key
    return request.headers.get("x-api-key", "").strip() or None
