"""The directory of the spool: one file for each settlement that Redis has not accepted yet.

A file is named `DEPLOYMENT.JOB-N.json`, so that several gateways can share the directory. A file that no Redis will
ever accept is moved to `refused/`, which is not read again.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.configuration.settings import SettingsError
from shared.host import private_files
from shared.store.jobs.claims import Claim
from shared.store.jobs.settlements import Settlement, parse

REFUSED = "refused"
# A result is JSON in UTF-8. In a file it is JSON within JSON in ASCII: two bytes for `é` become the seven of `\u00e9`.
_FILE_FACTOR, _FILE_EXTRA = 4, 1 << 20
# s. A temporary file that is older was left by a crash.
_CRASHED_AFTER = 60
_NAME = re.compile(r"(?P<deployment>[\w-]+)\.[\w-]+-\d+\.json")

# A file's name and inode: another file of the same name is another entry.
Entry = tuple[str, int]


class SpoolFolder:
    """Reads and writes the files. Each step opens the directory, which may have been removed in the meantime."""

    def __init__(self, path: Path, longest_result: int) -> None:
        """Create the directory unless it exists; raise SettingsError when it is not this user's alone."""
        self._path = path
        self._longest = longest_result * _FILE_FACTOR + _FILE_EXTRA
        try:
            with self.opened():
                pass
        except private_files.UnsafeFileError:
            message = "SPOOL_DIR: should belong to the worker's user and be open to nobody else"
            raise SettingsError(message) from None
        except OSError as error:
            link = " (a link is not followed)" if path.is_symlink() else ""
            raise SettingsError(f"SPOOL_DIR: cannot be used: {error.strerror}{link}") from None

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Open the directory, for the other methods; raise OSError when others can access it."""
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with private_files.opened(self._path) as folder:
            # In a shared temporary directory, another user could have created it, and could write answers into it.
            if os.fstat(folder).st_mode & 0o077:
                raise private_files.UnsafeFileError("open to other users")
            yield folder

    def entries(self, folder: int) -> set[Entry]:
        """List the files to read; remove temporary files that a crash has left."""
        entries = set()
        with os.scandir(folder) as found:
            for entry in found:
                if entry.name.endswith(".json"):
                    entries.add((entry.name, entry.inode()))
                elif entry.name.startswith(private_files.TEMPORARY):
                    with suppress(OSError):
                        if time.time() - entry.stat(follow_symlinks=False).st_mtime > _CRASHED_AFTER:
                            os.unlink(entry.name, dir_fd=folder)
        return entries

    def read(self, folder: int, name: str) -> Settlement:
        """Read one file; raise OSError or ValueError when it is not a settlement that a worker wrote."""
        settlement = parse(private_files.read(name, folder, self._longest).decode())
        if deployment_of(name) not in (settlement.deployment, None):
            raise ValueError("names another deployment than the file's name does")
        return settlement

    def has(self, claim: Claim) -> bool:
        """Return whether the settlement of a claim is there."""
        return (self._path / file_name(claim)).exists()

    def write(self, folder: int, settlement: Settlement) -> None:
        """Write a settlement; raise OSError when the disk does not accept it."""
        private_files.write(file_name(settlement), folder, settlement.to_json().encode())

    def remove(self, folder: int, name: str) -> bool:
        """Remove a file; return whether it is gone."""
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def set_aside(self, folder: int, name: str) -> bool:
        """Move an entry of any kind to `refused/`; return whether that worked."""
        try:
            with suppress(FileExistsError):
                os.mkdir(REFUSED, 0o700, dir_fd=folder)
            with private_files.opened(REFUSED, folder) as refused:
                # A unique name, so that no file that was refused before is overwritten.
                os.rename(name, f"{time.time_ns()}-{name[-50:]}", src_dir_fd=folder, dst_dir_fd=refused)
        except OSError:
            return False
        return True


def file_name(settlement: Settlement | Claim) -> str:
    """Name the file of a settlement, also by its claim."""
    return f"{settlement.deployment}.{settlement.job_id}-{settlement.number}.json"


def deployment_of(name: str) -> str | None:
    """Return the deployment that a file's name begins with; None for a name that no worker gives."""
    match = _NAME.fullmatch(name)
    return match["deployment"] if match else None
