"""Callers' policies in the store, and those that this process has read lately."""

import json
import time
from collections import OrderedDict
from typing import Literal

import redis.asyncio

from shared.api.policies import NO_POLICY, Policy
from shared.store import keys
from shared.store.redis import scripts
from shared.store.redis.pipelining import get

# A policy is read again after this time, s: longer than a key is cached, so that a known key needs no round trip.
_CACHE_SECONDS = 4.0
_CACHE_SIZE = 10_000
_cache: OrderedDict[str, tuple[float, Policy]] = OrderedDict()


def parse(text: str | None) -> Policy:
    """Read a stored policy, None or an empty text for none; ignore fields of a later version."""
    if not text:
        return NO_POLICY
    known = {field.alias or name for name, field in Policy.model_fields.items()}
    found = json.loads(text)
    return Policy.model_validate_json(json.dumps({name: value for name, value in found.items() if name in known}))


def remember(caller: str, text: str | None) -> Policy:
    """Cache a policy that was read with the caller's key."""
    policy = parse(text)
    _cache[caller] = (time.monotonic() + _CACHE_SECONDS, policy)
    _cache.move_to_end(caller)
    while len(_cache) > _CACHE_SIZE:
        _cache.popitem(last=False)
    return policy


async def of(client: redis.asyncio.Redis, caller: str) -> Policy:
    """Return the policy of a caller, as it was at most 4 s ago."""
    if caller == keys.ANONYMOUS:
        return NO_POLICY
    known = _cache.get(caller)
    if known is not None and known[0] > time.monotonic():
        return known[1]
    [text] = await get(client, ("HGET", keys.POLICIES, caller))
    return remember(caller, text)


async def put(client: redis.asyncio.Redis, caller: str, policy: Policy) -> Literal["done", "missing"]:
    """Set the policy of a caller that has a key, in place of its earlier one."""
    outcome: Literal["done", "missing"] = await scripts.run(
        client, "put_policy", caller=caller, policy=policy.to_json()
    )
    _cache.pop(caller, None)
    return outcome


async def read(client: redis.asyncio.Redis, caller: str) -> Policy | None:
    """Return the present policy of a caller; None when no caller of that id has a key."""
    known, text = await get(client, ("HEXISTS", keys.KEYS, caller), ("HGET", keys.POLICIES, caller))
    return parse(text) if known else None
