"""What webhooks are signed with: each caller's own secret, and the gateway's where callers have no keys."""

import json
from typing import Any, cast

import redis.asyncio

from shared.store import keys
from shared.store.redis import clock
from shared.store.redis.pipelining import get
from shared.webhook_secret import new_secret

# Both of a rotation sign for a day; s.
ROTATES_FOR = 86_400
# Of the secrets before, however often they are rotated.
_MOST = 4
# Webhooks of a caller whose key is revoked are still sent and signed: longer than a schedule and a result last; s.
AFTER_REVOCATION = 7 * 86_400


def first(secret: str) -> str:
    """Return how a new caller's secret is stored."""
    return json.dumps([{"secret": secret}])


def valid(stored: str | None, now: int) -> list[str]:
    """Return the secrets that sign at a time, in ms by Redis's clock; the newest first."""
    return [entry["secret"] for entry in _valid(stored, now)]


def _valid(stored: str | None, now: int) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(stored) if stored else []
    return [entry for entry in entries if "until" not in entry or entry["until"] > now / 1000]


async def of_gateway(client: redis.asyncio.Redis) -> list[str]:
    """Return the gateway's own secrets; one is made when there is none yet."""
    name = keys.secret(keys.ANONYMOUS)
    _, stored, time = await get(client, ("SET", name, first(new_secret()), "NX"), ("GET", name), clock.TIME)
    return valid(stored, clock.milliseconds(time))


async def rotate(client: redis.asyncio.Redis, caller: str) -> str | None:
    """Make a new secret, beside which the one before is valid for a day; None when there is no such caller."""
    if caller == keys.ANONYMOUS:
        await of_gateway(client)
    elif not await client.hexists(keys.KEYS, caller):
        return None
    now = await clock.now(client)
    secret, until = new_secret(), now / 1000 + ROTATES_FOR
    stored = cast("str | None", await client.get(keys.secret(caller)))
    before = [{"until": until, **entry} for entry in _valid(stored, now)[:_MOST]]
    await client.set(keys.secret(caller), json.dumps([{"secret": secret}, *before]))
    return secret
