"""Callers' credentials in the store: described in the clear, with the value sealed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import redis.asyncio

from shared.api.ids import new_id
from shared.store import keys
from shared.store.redis import scripts
from shared.store.redis.pipelining import get

MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class SealedCredential:
    """A credential of a caller: times in ms, `key` names the public key that it is sealed with.

    `entry` is the text that the store holds; `used` is the minute of the last use by a job, in ms, where it was read.
    """

    name: str
    kind: str
    hosts: tuple[str, ...]
    created: int
    updated: int
    key: str
    sealed: str = field(repr=False)
    entry: str = field(repr=False)
    used: int | None = None

    @classmethod
    def parse(cls, name: str, entry: str, used: str | None = None) -> "SealedCredential":
        """Read an entry of the store, and its last use."""
        found = json.loads(entry)
        hosts, minute = tuple(found["hosts"]), None if used is None else int(used) * MINUTE
        return cls(
            name, found["kind"], hosts, found["created"], found["updated"], found["key"], found["sealed"], entry, minute
        )

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
    found, uses = await get(client, ("HGETALL", keys.credentials(caller)), ("HGETALL", keys.credential_uses(caller)))
    return [SealedCredential.parse(name, entry, uses.get(name)) for name, entry in sorted(found.items())]


async def find(client: redis.asyncio.Redis, caller: str, name: str) -> SealedCredential | None:
    """Return a caller's credential; None when there is none of that name."""
    entry, used = await get(
        client, ("HGET", keys.credentials(caller), name), ("HGET", keys.credential_uses(caller), name)
    )
    return None if entry is None else SealedCredential.parse(name, entry, used)


async def remove(client: redis.asyncio.Redis, caller: str, name: str) -> bool:
    """Delete a caller's credential; False when there is none of that name."""
    return bool(await scripts.run(client, "remove_credential", caller=caller, name=name))


@dataclass(frozen=True, slots=True)
class UsableCredential:
    """A credential that a run uses, and the caller whose it is."""

    owner: str
    stored: SealedCredential


async def use(client: redis.asyncio.Redis, caller: str, names: Sequence[str]) -> dict[str, UsableCredential]:
    """Return those of the named credentials that a caller may use, its own or granted, and note the minute of the use.

    For a run, in one round trip.
    """
    flat = await scripts.run(client, "use_credentials", caller=caller, names=names)
    found = zip(names, flat[::2], flat[1::2], strict=True)
    return {name: UsableCredential(owner, SealedCredential.parse(name, entry)) for name, owner, entry in found if entry}


async def grant(
    client: redis.asyncio.Redis, owner: str, name: str, users: Sequence[str]
) -> tuple[Literal["done", "missing", "unknown", "taken"], str]:
    """Set which other callers may use a caller's credential; also return the first user that is refused.

    `missing` without the credential, `unknown` for a user without a key, and `taken` for one that may use the
    credential of another caller under that name.
    """
    outcome, *user = await scripts.run(client, "grant_credential", caller=owner, name=name, users=users)
    return outcome, user[0] if user else ""


@dataclass(frozen=True, slots=True)
class Granted:
    """A credential as operators see it: its owner, and the other callers that may use it."""

    owner: str
    stored: SealedCredential
    users: list[str]


async def of_callers(client: redis.asyncio.Redis, callers: Sequence[str]) -> list[Granted]:
    """List the credentials of callers by caller and name, in one round trip."""
    if not callers:
        return []
    names = (keys.credentials, keys.credential_uses, keys.granted)
    found = await get(client, *(("HGETALL", name(caller)) for caller in callers for name in names))
    users: dict[tuple[str, str], list[str]] = {}
    for user, granted in zip(callers, found[2::3], strict=True):
        for name, owner in granted.items():
            users.setdefault((owner, name), []).append(user)
    return [
        Granted(owner, SealedCredential.parse(name, entry, uses.get(name)), users.get((owner, name), []))
        for owner, entries, uses in zip(callers, found[::3], found[1::3], strict=True)
        for name, entry in sorted(entries.items())
    ]


async def replace_seal(
    client: redis.asyncio.Redis, caller: str, before: SealedCredential, after: SealedCredential
) -> bool:
    """Write a credential under its new seal; False when it was changed or deleted meanwhile."""
    done = await scripts.run(
        client, "reseal_credential", caller=caller, name=before.name, before=before.entry, after=after.entry
    )
    return bool(done)
