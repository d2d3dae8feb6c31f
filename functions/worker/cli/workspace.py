"""The directories of one run: fresh, empty, private, and gone afterwards, by the worker's successor if need be."""

import fcntl
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from functions.worker.cli.removal import empty, remove_at, remove_tree
from functions.worker.relay.relay import MAX_PATH
from shared.host.private_files import UnsafeFileError, names, open_regular, opened, opened_shared

_PREFIX = "claude-worker-"
# Seconds that a worker may take between making its directory and the lock in it.
_STARTING = 60


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where a run may write: its working directory, its home and the CLI's configuration directory."""

    root: Path

    @classmethod
    def create(cls) -> "Workspace":
        """Make the directories, open to nobody else."""
        workspace = cls(Path(tempfile.mkdtemp(prefix=f"claude-run-{os.getpid()}-")))
        for directory in (workspace.work, workspace.home, workspace.config):
            directory.mkdir()
        return workspace

    @classmethod
    def nowhere(cls) -> "Workspace":
        """Name directories that are not there, where only names matter."""
        return cls(Path("/nonexistent"))

    @property
    def work(self) -> Path:
        """The working directory."""
        return self.root / "work"

    @property
    def home(self) -> Path:
        """The home directory, for temporary files too."""
        return self.root / "home"

    @property
    def config(self) -> Path:
        """The CLI's configuration directory."""
        return self.root / "config"

    @property
    def servers(self) -> Path:
        """The file that tells the CLI of its MCP servers."""
        return self.root / "mcp.json"

    @property
    def socket(self) -> Path:
        """The socket of the run's relay."""
        return self.root / "relay"

    @property
    def socket_for_cli(self) -> str:
        """The socket as the CLI, in its working directory, names it: a long path does not fit into an address."""
        return str(self.socket) if len(os.fsencode(self.socket)) <= MAX_PATH else "../relay"

    @property
    def system_prompt(self) -> Path:
        """The file that holds the system prompt of a request that has one."""
        return self.root / "system-prompt"

    def remove(self) -> None:
        """Remove all of it, whatever the run made of its permissions."""
        remove_tree(self.root)


class WorkerFolder:
    """The temporary directory of one worker's runs; it is locked for as long as the worker lives."""

    def __init__(self) -> None:
        """Make it the temporary directory of this process and its slots; remove those of workers that were killed."""
        parent = Path(tempfile.gettempdir())
        _remove_abandoned(parent)
        self._path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        fcntl.flock(self._folder, fcntl.LOCK_EX)
        # Workers of an earlier version look at this file alone.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._lock = os.open("lock", flags, 0o600, dir_fd=self._folder)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        os.environ["TMPDIR"] = str(self._path)

    def remove_runs_of(self, slot: int) -> None:
        """Remove what a slot that has ended, by its pid, left."""
        with suppress(OSError):
            for name in names(self._folder):
                if name.startswith(f"claude-run-{slot}-"):
                    remove_at(name, self._folder)

    def remove(self) -> None:
        """Remove it, at the worker's end."""
        remove_tree(self._path)
        os.close(self._lock)
        os.close(self._folder)


def _remove_abandoned(parent: Path) -> None:
    """Remove the directories of workers that have ended, and nothing that is not a directory of this user.

    The directory is shared with other users: whatever else has such a name is neither opened nor removed.
    """
    with suppress(OSError), opened_shared(parent) as shared:
        for name in names(shared):
            if not name.startswith(_PREFIX):
                continue
            with suppress(OSError), opened(name, shared) as folder:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_abandoned(folder):
                    os.fchmod(folder, 0o700)
                    empty(folder)
                    os.rmdir(name, dir_fd=shared)


def _is_abandoned(folder: int) -> bool:
    """Return whether no worker lives that made a directory; raise OSError when one holds its lock file.

    Called with the lock on the directory itself, which every worker of this version holds.
    """
    try:
        lock = open_regular("lock", folder)
    except FileNotFoundError:
        # Its worker may be about to make the file.
        return time.time() - os.fstat(folder).st_mtime > _STARTING
    except UnsafeFileError:
        return True  # No worker made that.
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(lock)
    return True
