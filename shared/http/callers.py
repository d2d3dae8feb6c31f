"""Who is calling, by the key that came with the request."""

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

# A known key costs no round trip for so long. A revoked one can still read for as long, and submits nothing; s.
_REMEMBER_FOR = 2.0
_REMEMBER_MOST = 10_000
_known: OrderedDict[str, tuple[float, str]] = OrderedDict()


async def caller_of(request: Request, settings: CommonSettings) -> str:
    """Return the id of the caller; raises Unauthorized without a key that is one.

    Raises InvalidRequest for a query parameter that the route does not have: to nobody before it is known who asks.
    """
    caller = await require_key(request, settings) if settings.auth else keys.ANONYMOUS
    refuse_unknown(request)
    return caller


async def require_key(request: Request, settings: CommonSettings) -> str:
    """Return the id of the caller, whether or not the deployment asks all for a key; raises Unauthorized."""
    key = _key_in(request)
    if key is None:
        raise Unauthorized(
            "Send a key as Authorization: Bearer KEY, or as X-API-Key: KEY", headers={"WWW-Authenticate": "Bearer"}
        )
    remembered = _known.get(key)
    if remembered is not None and remembered[0] > time.monotonic():
        return remembered[1]
    caller = await callers.find(async_client(settings.redis_address), key)
    if caller is None:
        _known.pop(key, None)
        challenge = 'Bearer error="invalid_token"'
        raise Unauthorized("The key is not known", headers={"WWW-Authenticate": challenge})
    _known[key] = (time.monotonic() + _REMEMBER_FOR, caller.id)
    _known.move_to_end(key)
    while len(_known) > _REMEMBER_MOST:
        _known.popitem(last=False)
    return caller.id


def _key_in(request: Request) -> str | None:
    scheme, key = credentials(request.headers)
    if scheme == "bearer" and key:
        return key
    return request.headers.get("x-api-key", "").strip() or None
