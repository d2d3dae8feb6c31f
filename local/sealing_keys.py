"""The keys that credentials are sealed with: of `claude-gateway local`, and their rotation."""

from dataclasses import dataclass, field
from pathlib import Path

import redis.asyncio

from shared import sealing
from shared.configuration.settings import CredentialsSettings, WorkerSettings, load
from shared.host import private_files
from shared.store import keys
from shared.store.callers import callers, credentials

_FILE = "credentials.key"
_LONGEST = 4096


@dataclass(slots=True)
class Resealed:
    """The result of a rotation; `unopened` are callers and names of credentials that no key opens, with the reason."""

    resealed: int = 0
    current: int = 0
    unopened: list[tuple[str, str, str]] = field(default_factory=list)


def of_local(data: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return what the environments of the API and of the worker need beside what is given.

    A pair is made once and kept below `data`, unless a key is given. Raises OSError when it cannot be kept.
    """
    given = {name for one in (CredentialsSettings, WorkerSettings) for name in load(one).model_fields_set}
    if "credentials_public_key" in given:
        return {}, {}
    privates = private_keys(data) or [_made(data)]
    worker = {} if "credentials_private_key" in given else {"CREDENTIALS_PRIVATE_KEY": " ".join(privates)}
    return {"CREDENTIALS_PUBLIC_KEY": sealing.public_of(privates[0])}, worker


def private_keys(data: Path) -> list[str]:
    """Return the private keys that are given, else those of `claude-gateway local`; none when there are none."""
    given = [key.get_secret_value() for key in load(WorkerSettings).credentials_private_key]
    if given or not data.is_dir():
        return given
    with private_files.opened_shared(data) as folder:
        try:
            return private_files.read(_FILE, folder, _LONGEST).decode("ascii", "replace").split()
        except FileNotFoundError:
            return []


def _made(data: Path) -> str:
    data.mkdir(parents=True, exist_ok=True)
    _, private = sealing.new_pair()
    with private_files.opened_shared(data) as folder:
        private_files.write(_FILE, folder, private.encode())
    return private


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
