"""Callers and their keys: a key is shown once and kept as its SHA-256."""

import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass

import redis.asyncio

from shared.ids import new_id
from shared.store import clock, keys, webhook_secrets
from shared.store.together import get
from shared.webhook_secret import new_secret

# Says what it is to a person, and to tools that look for secrets in code.
KEY_PREFIX = "cgk_"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a key belongs to; `id` is the namespace of its jobs, `created` ms."""

    id: str
    name: str
    created: int


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: the one time that its secrets are known."""

    id: str
    name: str
    key: str
    webhook_secret: str


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


async def create(client: redis.asyncio.Redis, name: str) -> NewKey:
    """Make a key of 256 random bits for a new caller."""
    new = NewKey(new_id(), name, KEY_PREFIX + secrets.token_urlsafe(32), new_secret())
    found = json.dumps(asdict(Caller(new.id, name, await clock.now(client))))
    digest = _digest(new.key)
    async with client.pipeline(transaction=True) as pipe:
        pipe.hset(keys.caller_key(digest), mapping={"digest": digest, "caller": found})
        pipe.hset(keys.KEYS, new.id, json.dumps({"digest": digest, "caller": found}))
        pipe.set(keys.secret(new.id), webhook_secrets.first(new.webhook_secret))
        await pipe.execute()
    return new


async def find(client: redis.asyncio.Redis, key: str) -> Caller | None:
    """Return the caller that a key belongs to, in one round trip; None for a key that is not one, or was revoked."""
    digest = _digest(key)
    found: dict[str, str]
    [found] = await get(client, ("HGETALL", keys.caller_key(digest)))
    # The look-up by hash has decided already; this makes sure that time tells nothing of a near miss.
    if not hmac.compare_digest(found.get("digest", ""), digest):
        return None
    return Caller(**json.loads(found["caller"]))


async def every(client: redis.asyncio.Redis) -> list[Caller]:
    """List all callers, oldest first."""
    found = [json.loads(text) for text in (await client.hgetall(keys.KEYS)).values()]
    callers = [Caller(**json.loads(item["caller"])) for item in found]
    return sorted(callers, key=lambda caller: (caller.created, caller.id))


async def revoke(client: redis.asyncio.Redis, caller_id: str) -> bool:
    """Make a key worthless, at once but for what processes remember for seconds; False when there is none."""
    text = await client.hget(keys.KEYS, caller_id)
    if text is None:
        return False
    async with client.pipeline(transaction=True) as pipe:
        pipe.delete(keys.caller_key(json.loads(text)["digest"]))
        pipe.hdel(keys.KEYS, caller_id)
        await pipe.execute()
    await webhook_secrets.forget_later(client, caller_id)
    return True
