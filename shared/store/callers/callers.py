"""Callers and their keys: a key is shown once and stored as its SHA-256."""

import asyncio
import json
import secrets
import unicodedata
from collections.abc import Awaitable, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

import redis.asyncio

from shared import digests
from shared.api.errors import KeyRevoked
from shared.api.ids import new_id
from shared.api.policies import NO_POLICY, Policy
from shared.store import keys
from shared.store.callers import policies
from shared.store.redis import clock, scripts
from shared.store.redis.pipelining import get
from shared.store.webhooks import signing_secrets
from shared.webhook_secret import new_secret

# Identifies a key to people, and to tools that scan code for secrets.
KEY_PREFIX = "cgk_"
T = TypeVar("T")
# Characters of a name.
LONGEST_NAME = 100
# Jobs that one script cancels; other clients wait for Redis meanwhile.
CANCELLED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a key; `id` is the namespace of its jobs, `created` is in ms."""

    id: str
    name: str
    created: int


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key, with its secrets, which are shown only once."""

    id: str
    name: str
    key: str
    webhook_secret: str


class NameRefused(ValueError):
    """A name that a caller cannot have; the message says why."""


async def create(
    client: redis.asyncio.Redis, name: str, *, policy: Policy = NO_POLICY, scopes: Sequence[str] = ()
) -> NewKey:
    """Create a key of 256 random bits for a new caller; raise NameRefused. Without `scopes` it has the default ones.

    Two names that look the same are one: the name is kept without spaces at its ends, in its composed form.
    """
    name = unicodedata.normalize("NFC", name.strip())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise NameRefused(f"NAME should have 1 to {LONGEST_NAME} printable characters, and not only spaces")
    new = NewKey(new_id(), name, KEY_PREFIX + secrets.token_urlsafe(32), new_secret())
    found = json.dumps(asdict(Caller(new.id, name, await clock.now(client))))
    digest = digests.of_text(new.key)
    first = signing_secrets.first(new.webhook_secret)
    if not await scripts.run(
        client, "create_key", caller=new.id, name=name, digest=digest, entry=found, secrets=first,
        policy=policy.to_json(), scopes=" ".join(sorted(set(scopes))),
    ):  # fmt: skip
        raise NameRefused(f"A caller has the name {name!r} already: choose another, or revoke that caller's key")
    return new


async def every(client: redis.asyncio.Redis) -> list[Caller]:
    """List all callers, oldest first."""
    [entries] = await get(client, ("HGETALL", keys.KEYS))
    found = [json.loads(text) for text in entries.values()]
    callers = [Caller(**json.loads(item["caller"])) for item in found]
    return sorted(callers, key=lambda caller: (caller.created, caller.id))


async def names(client: redis.asyncio.Redis) -> dict[str, str]:
    """Return the names of all callers by their ids."""
    return {caller.id: caller.name for caller in await every(client)}


async def revoke(client: redis.asyncio.Redis, caller_id: str, *, keep_for: int) -> bool:
    """Revoke a key and cancel all jobs of its caller, readable for `keep_for` s; False when there is no such key.

    From the first script on no job of the caller is accepted or started. If this process ends before the jobs are
    cancelled, every worker's rescuer continues.
    """
    keep = signing_secrets.AFTER_REVOCATION
    if not await scripts.run(client, "revoke", caller=caller_id, revocation=new_id(), keep_secrets_s=keep):
        return False
    while await scripts.run(client, "cancel_revoked", most=CANCELLED_AT_ONCE, keep_ms=keep_for * 1000):
        pass
    return True


async def check(client: redis.asyncio.Redis, caller_id: str) -> None:
    """Raise KeyRevoked if the caller's key is revoked or has expired; for requests that stay open."""
    if caller_id == keys.ANONYMOUS:
        return
    revoked, policy = await get(client, ("HEXISTS", keys.REVOKED, caller_id), ("HGET", keys.POLICIES, caller_id))
    if revoked or policies.parse(policy).has_expired:
        raise KeyRevoked


async def checked(client: redis.asyncio.Redis, caller_id: str, reading: Awaitable[T]) -> T:
    """Return the result of `reading`; raise KeyRevoked if the caller's key is revoked or has expired.

    The check shares the round trip of the first command of `reading`.
    """
    found, _ = await asyncio.gather(reading, check(client, caller_id))
    return found
