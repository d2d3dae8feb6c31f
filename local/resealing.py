"""The rotation of the key that credentials are sealed with."""

from dataclasses import dataclass, field

import redis.asyncio

from shared import sealing
from shared.store import keys
from shared.store.callers import callers, credentials


@dataclass(slots=True)
class Resealed:
    """The result of a rotation; `unopened` are callers and names of credentials that no key opens, with the reason."""

    resealed: int = 0
    current: int = 0
    unopened: list[tuple[str, str, str]] = field(default_factory=list)


async def reseal(client: redis.asyncio.Redis, privates: list[str]) -> Resealed:
    """Seal every credential with the first key, whichever of the keys opens it."""
    public = sealing.public_of(privates[0])
    done = Resealed()
    owners = [keys.ANONYMOUS, *(caller.id for caller in await callers.every(client))]
    for owner in owners:
        for stored in await credentials.every(client, owner):
            await _reseal_one(client, owner, stored, privates, public, done)
    return done


async def _reseal_one(
    client: redis.asyncio.Redis,
    owner: str,
    stored: credentials.SealedCredential,
    privates: list[str],
    public: str,
    done: Resealed,
) -> None:
    if stored.key == sealing.key_id(public):
        done.current += 1
        return
    described = sealing.Credential(owner, stored.name, stored.kind, stored.hosts, "")
    try:
        opened = sealing.open_sealed(stored.sealed, privates, described)
    except sealing.NotOpenedError as error:
        done.unopened.append((owner, stored.name, str(error)))
        return
    after = stored.resealed(sealing.seal(opened, public), sealing.key_id(public))
    # One that was changed or deleted meanwhile has nothing to be sealed again.
    done.resealed += await credentials.replace_seal(client, owner, stored, after)
