"""Secrets that sign deliveries: one of each caller, and the gateway's own where callers have no keys."""

import json
from typing import Any, cast

import redis.asyncio

from shared.store import keys
from shared.store.redis import clock
from shared.store.redis.pipelining import get
from shared.webhook_secret import new_secret

# Seconds after a rotation in which the previous secret signs too.
ROTATES_FOR = 86_400
# Previous secrets that are kept, however often they are rotated.
_MOST = 4
# Seconds that the secrets of a revoked caller are kept: deliveries of its cancelled jobs are still sent and signed.
AFTER_REVOCATION = 7 * 86_400


def first(secret: str) -> str:
    """Return the stored form of a new caller's secret."""
    return json.dumps([{"secret": secret}])


def valid(stored: str | None, now: int) -> list[str]:
    """Return the secrets that sign at `now`, in ms by Redis's clock; the newest first."""
    return [entry["secret"] for entry in _valid(stored, now)]


def _valid(stored: str | None, now: int) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(stored) if stored else []
    return [entry for entry in entries if "until" not in entry or entry["until"] > now / 1000]


async def of_gateway(client: redis.asyncio.Redis) -> list[str]:
    """Return the gateway's own secrets; create one if there is none."""
    name = keys.secret(keys.ANONYMOUS)
    _, stored, time = await get(client, ("SET", name, first(new_secret()), "NX"), ("GET", name), clock.TIME)
    return valid(stored, clock.milliseconds(time))


async def rotate(client: redis.asyncio.Redis, caller: str) -> str | None:
    """Create a secret; the previous one stays valid for a day. Return None when there is no such caller."""
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
