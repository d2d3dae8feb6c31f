"""Callers' API keys: find the caller of one, replace one, and list them."""

import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Any, cast

import redis.asyncio

from shared import digests
from shared.api.policies import Policy
from shared.api.vocabulary import DEFAULT_SCOPES, Scope
from shared.store import keys
from shared.store.callers import policies
from shared.store.callers.callers import KEY_PREFIX, Caller
from shared.store.redis import scripts
from shared.store.redis.pipelining import get

MINUTE = 60_000
# Characters of a key's digest by which usage names the key.
_SHORT = 12


@dataclass(frozen=True, slots=True)
class Key:
    """A key that a client has sent: its caller, what the key may do, and its short id, which is no secret."""

    caller: Caller
    scopes: tuple[Scope, ...]
    id: str


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A caller's present key as operators see it; `used` is the minute of its last use in ms, None for never."""

    caller: Caller
    id: str
    scopes: tuple[Scope, ...]
    used: int | None
    policy: Policy


async def find(client: redis.asyncio.Redis, key: str) -> Key | None:
    """Return a key, in one round trip; None for one that is unknown, revoked, replaced or expired."""
    digest = digests.of_text(key)
    found = await scripts.run(client, "find_key", digest=digest)
    # The look-up by digest has decided already; this keeps timing from revealing a near miss.
    if found is None or not hmac.compare_digest(found[0], digest):
        return None
    _, caller, scopes, policy = found
    known = Caller(**json.loads(caller))
    if policies.remember(known.id, policy).has_expired:
        return None
    return Key(known, _scopes(scopes), _short(digest))


async def rotate(client: redis.asyncio.Redis, caller: str, *, overlap: int) -> str | None:
    """Replace a caller's key and return the new one; the present one works for `overlap` s. None without a key."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    done = await scripts.run(
        client, "rotate_key", caller=caller, digest=digests.of_text(key), overlap_ms=overlap * 1000
    )
    return key if done else None


async def every(client: redis.asyncio.Redis) -> list[KnownKey]:
    """List the callers' present keys, the oldest caller first, in two round trips."""
    entries, texts = await get(client, ("HGETALL", keys.KEYS), ("HGETALL", keys.POLICIES))
    found = [json.loads(text) for text in cast("dict[str, str]", entries).values()]
    if not found:
        return []
    seen: list[Any] = await get(client, *(("HMGET", keys.caller_key(one["digest"]), "scopes", "used") for one in found))
    known = []
    for one, (scopes, used) in zip(found, seen, strict=True):
        caller, text = Caller(**json.loads(one["caller"])), cast("dict[str, str]", texts)
        policy = text.get(caller.id)
        known.append(
            KnownKey(
                caller,
                _short(one["digest"]),
                _scopes(scopes),
                None if used is None else int(used) * MINUTE,
                policies.parse(policy),
            )
        )
    return sorted(known, key=lambda one: (one.caller.created, one.caller.id))


def _short(digest: str) -> str:
    return digest[:_SHORT]


def _scopes(text: str | None) -> tuple[Scope, ...]:
    return cast("tuple[Scope, ...]", tuple(text.split())) if text else DEFAULT_SCOPES
