"""What webhooks are signed with: each caller's own secret, and the gateway's where callers have no keys."""

import json
import time
from typing import Any, cast

import redis.asyncio

from shared.store import keys
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


def valid(stored: str | None) -> list[str]:
    """Return the secrets that sign now, the newest first."""
    return [entry["secret"] for entry in _valid(stored)]


def _valid(stored: str | None) -> list[dict[str, Any]]:
    now = time.time()
    return [entry for entry in (json.loads(stored) if stored else []) if entry.get("until", now + 1) > now]


async def of_gateway(client: redis.asyncio.Redis) -> list[str]:
    """Return the gateway's own secrets; one is made when there is none yet."""
    await client.set(keys.secret(keys.ANONYMOUS), first(new_secret()), nx=True)
    return valid(cast("str | None", await client.get(keys.secret(keys.ANONYMOUS))))


async def rotate(client: redis.asyncio.Redis, caller: str) -> str | None:
    """Make a new secret, beside which the one before is valid for a day; None when there is no such caller."""
    if caller == keys.ANONYMOUS:
        await of_gateway(client)
    elif not await client.hexists(keys.KEYS, caller):
        return None
    secret, until = new_secret(), time.time() + ROTATES_FOR
    stored = cast("str | None", await client.get(keys.secret(caller)))
    before = [{"until": until, **entry} for entry in _valid(stored)[:_MOST]]
    await client.set(keys.secret(caller), json.dumps([{"secret": secret}, *before]))
    return secret
