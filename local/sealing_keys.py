"""The keys that `claude-gateway local` seals credentials with."""

from pathlib import Path

from shared import sealing
from shared.configuration.settings import CredentialsSettings, WorkerSettings, load
from shared.host import private_files

_FILE = "credentials.key"
_LONGEST = 4096


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
