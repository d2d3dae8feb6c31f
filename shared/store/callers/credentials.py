"""Callers' credentials in the store: described in the clear, with the value sealed."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import redis.asyncio

from shared.api.ids import new_id
from shared.store import keys
from shared.store.redis import scripts
from shared.store.redis.pipelining import get


@dataclass(frozen=True, slots=True)
class SealedCredential:
    """A credential of a caller: times in ms, `key` names the public key that it is sealed with.

    `entry` is the text that the store holds.
    """

    name: str
    kind: str
    hosts: tuple[str, ...]
    created: int
    updated: int
    key: str
    sealed: str = field(repr=False)
    entry: str = field(repr=False)

    @classmethod
    def parse(cls, name: str, entry: str) -> "SealedCredential":
        """Read an entry of the store."""
        found = json.loads(entry)
        hosts = tuple(found["hosts"])
        return cls(name, found["kind"], hosts, found["created"], found["updated"], found["key"], found["sealed"], entry)

    def resealed(self, sealed: str, key: str) -> "SealedCredential":
        """Return the credential under another seal; nothing else changes."""
        return self.parse(self.name, json.dumps({**json.loads(self.entry), "sealed": sealed, "key": key}))


async def put(
    client: redis.asyncio.Redis,
    caller: str,
    name: str,
    *,
    kind: str,
    hosts: tuple[str, ...],
    key: str,
    sealed: str,
    most: int,
) -> tuple[Literal["created", "replaced", "full", "revoked"], SealedCredential | None]:
    """Store a credential, or replace the caller's credential of that name; None for one that is not stored."""
    fields: dict[str, Any] = {"kind": kind, "hosts": hosts, "key": key, "sealed": sealed}
    # A new version each time, also for the same value: jobs that are joined or cached run on one version.
    outcome, *entry = await scripts.run(
        client,
        "put_credential",
        caller=caller,
        name=name,
        version=new_id(),
        credential=json.dumps(fields, separators=(",", ":")),
        most=most,
    )
    return outcome, SealedCredential.parse(name, entry[0]) if entry else None


async def every(client: redis.asyncio.Redis, caller: str) -> list[SealedCredential]:
    """List a caller's credentials by name."""
    [found] = await get(client, ("HGETALL", keys.credentials(caller)))
    return [SealedCredential.parse(name, entry) for name, entry in sorted(found.items())]


async def find(client: redis.asyncio.Redis, caller: str, name: str) -> SealedCredential | None:
    """Return a caller's credential; None when there is none of that name."""
    [entry] = await get(client, ("HGET", keys.credentials(caller), name))
    return None if entry is None else SealedCredential.parse(name, entry)


async def remove(client: redis.asyncio.Redis, caller: str, name: str) -> bool:
    """Delete a caller's credential; False when there is none of that name."""
    [count] = await get(client, ("HDEL", keys.credentials(caller), name))
    return bool(count)


async def names_of(client: redis.asyncio.Redis, callers: list[str]) -> list[list[str]]:
    """Return the names of the credentials of several callers, in one round trip."""
    if not callers:
        return []
    found = await get(client, *(("HKEYS", keys.credentials(caller)) for caller in callers))
    return [sorted(cast("list[str]", names)) for names in found]


async def replace_seal(
    client: redis.asyncio.Redis, caller: str, before: SealedCredential, after: SealedCredential
) -> bool:
    """Write a credential under its new seal; False when it was changed or deleted meanwhile."""
    done = await scripts.run(
        client, "reseal_credential", caller=caller, name=before.name, before=before.entry, after=after.entry
    )
    return bool(done)
