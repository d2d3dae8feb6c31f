"""Identify the caller by the API key of the request."""

import time
from collections import OrderedDict

from fastapi import Request

from shared.api.errors import Forbidden, Unauthorized
from shared.api.vocabulary import Scope
from shared.configuration.settings import CommonSettings
from shared.http.headers import credentials, value_of
from shared.http.query import refuse_unknown
from shared.store import keys
from shared.store.callers import api_keys, usage
from shared.store.redis.client import async_client

# A known key is cached for this long. During it a revoked key can still read, but not submit; s.
_CACHE_SECONDS = 2.0
_CACHE_SIZE = 10_000
_cache: OrderedDict[str, tuple[float, api_keys.Key]] = OrderedDict()


async def caller_of(request: Request, settings: CommonSettings) -> str:
    """Return the id of the caller; raises Unauthorized without a valid key, and Forbidden for one without the scope.

    Raises InvalidRequest for an unknown query parameter, after the authentication.
    """
    caller = await require_key(request, settings) if settings.auth else keys.ANONYMOUS
    refuse_unknown(request)
    return caller


async def require_key(request: Request, settings: CommonSettings) -> str:
    """Return the id of the caller, even if AUTH_ENABLED is false; raises Unauthorized or Forbidden.

    The key needs the scope of the request: `read`, `decide` or `submit`.
    """
    key = await _key_of(request, settings)
    needed = _scope_of(request)
    if needed not in key.scopes:
        raise Forbidden(f"This key has no scope {needed}; it has: {', '.join(key.scopes)}")
    usage.current_key.set(key.id)
    return key.caller.id


async def caller_with(scope: Scope, request: Request, settings: CommonSettings) -> str | None:
    """Return the id of the caller of a request whose key is valid and has a scope; None for any other request."""
    try:
        key = await _key_of(request, settings)
    except Unauthorized:
        return None
    return key.caller.id if scope in key.scopes else None


def _scope_of(request: Request) -> Scope:
    if request.method in {"GET", "HEAD"}:
        return "read"
    return "decide" if "/decisions/" in request.url.path else "submit"


async def _key_of(request: Request, settings: CommonSettings) -> api_keys.Key:
    key = _key_in(request)
    if key is None:
        raise Unauthorized(
            "API key required: send it as Authorization: Bearer KEY or X-API-Key: KEY",
            headers={"WWW-Authenticate": "Bearer"},
        )
    cached = _cache.get(key)
    if cached is not None and cached[0] > time.monotonic():
        return cached[1]
    found = await api_keys.find(async_client(settings.redis_address), key)
    if found is None:
        _cache.pop(key, None)
        challenge = 'Bearer error="invalid_token"'
        raise Unauthorized("Invalid API key", headers={"WWW-Authenticate": challenge})
    _cache[key] = (time.monotonic() + _CACHE_SECONDS, found)
    _cache.move_to_end(key)
    while len(_cache) > _CACHE_SIZE:
        _cache.popitem(last=False)
    return found


def _key_in(request: Request) -> str | None:
    scheme, key = credentials(request.headers)
    if scheme == "bearer" and key:
        return key
    return (value_of(request.headers, b"x-api-key") or "").strip() or None
