"""The directories of one run: new, empty and private. They are removed afterwards, by a later worker if necessary."""

import fcntl
import os
import re
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from functions.worker.cli import finished_folders
from functions.worker.cli.finished_folders import RUN
from functions.worker.cli.removal import empty, remove_at, remove_tree
from functions.worker.relay.relay import MAX_PATH
from functions.worker.sandbox.policy import PLACES, WORK
from shared.host.private_files import UnsafeFileError, names, open_regular, opened, opened_shared

_PREFIX = "claude-worker-"
# Seconds that a worker may take between creating its directory and the lock file in it.
_LOCK_WITHIN = 60


@dataclass(frozen=True, slots=True)
class Workspace:
    """The directories of a run: all but `given` are the run's to write; `root` itself and what else is in it are not.

    A sandbox shows these directories and nothing else of `root`.
    """

    root: Path

    @classmethod
    def create(cls) -> "Workspace":
        """Create the directories, accessible to this user only."""
        workspace = cls(Path(tempfile.mkdtemp(prefix=f"{RUN}{os.getpid()}-")))
        for name in PLACES:
            (workspace.root / name).mkdir()
        return workspace

    @property
    def work(self) -> Path:
        """The working directory."""
        return self.root / "work"

    @property
    def home(self) -> Path:
        """The home directory."""
        return self.root / "home"

    @property
    def config(self) -> Path:
        """The CLI's configuration directory."""
        return self.root / "config"

    @property
    def temporary(self) -> Path:
        """The directory for temporary files."""
        return self.root / "temporary"

    @property
    def given(self) -> Path:
        """The directory of the gateway's own files for the CLI, read-only in a sandbox."""
        return self.root / "given"

    @property
    def socket(self) -> Path:
        """The socket of the run's relay."""
        return self.given / "relay"

    @property
    def socket_for_cli(self) -> str:
        """The socket as the CLI, in its working directory, names it: a long path does not fit into an address."""
        return str(self.socket) if len(os.fsencode(self.socket)) <= MAX_PATH else "../given/relay"

    @property
    def system_prompt(self) -> Path:
        """The file that holds the system prompt of a request that has one."""
        return self.given / "system-prompt"

    @property
    def plugin(self) -> Path:
        """The plugin with the skills of a run that has some."""
        return self.given / "plugin"

    def refuse_copies(self) -> None:
        """Take the name of the directory into which a CLI without tools would copy images, to tell the model of it."""
        for folder in self.temporary.glob("claude-*"):
            for work in (self.work, WORK):
                with suppress(OSError):
                    (folder / re.sub(r"[^a-zA-Z0-9]", "-", str(work))).touch()

    def empty(self) -> None:
        """Remove everything in the working directory."""
        folder = os.open(self.work, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            empty(folder)
        finally:
            os.close(folder)

    def remove(self) -> None:
        """Remove the directories, whatever permissions the run gave them."""
        remove_tree(self.root)


class WorkerFolder:
    """The temporary directory of one worker's runs; the worker holds a lock on it until it exits."""

    def __init__(self) -> None:
        """Create the directory, for this process and its slots; remove those of workers that were killed.

        Runs that have ended, and of which not all is stored, are kept.
        """
        parent = Path(tempfile.gettempdir())
        self._path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        fcntl.flock(self._folder, fcntl.LOCK_EX)
        # Workers of an earlier version check only this file.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._lock = os.open("lock", flags, 0o600, dir_fd=self._folder)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        _remove_abandoned(parent, self._folder)
        os.environ["TMPDIR"] = str(self._path)

    def remove_runs_of(self, slot: int, *, keeps_finished: bool = False) -> bool:
        """Remove the directories that a slot left; `slot` is the pid of a slot that has exited.

        With `keeps_finished` keep that of a run that has ended, for another slot, and return whether there is one.
        """
        kept = False
        with suppress(OSError):
            for name in names(self._folder):
                if not name.startswith(f"{RUN}{slot}-"):
                    continue
                if keeps_finished and finished_folders.is_kept(name, self._folder):
                    kept |= finished_folders.keep(name, self._folder, self._folder)
                else:
                    remove_at(name, self._folder)
        return kept

    def remove(self) -> None:
        """Remove the directory when the worker exits."""
        remove_tree(self._path)
        os.close(self._lock)
        os.close(self._folder)


def _remove_abandoned(parent: Path, own: int) -> None:
    """Remove the directories of workers that have exited, and only directories of this user.

    Move those of runs that have ended into `own`, the directory of this worker.

    Other users share the parent directory: anything else with such a name is neither opened nor removed.
    """
    with suppress(OSError), opened_shared(parent) as shared:
        for name in names(shared):
            if not name.startswith(_PREFIX):
                continue
            with suppress(OSError), opened(name, shared) as folder:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_abandoned(folder):
                    os.fchmod(folder, 0o700)
                    for run in names(folder):
                        if finished_folders.is_kept(run, folder):
                            finished_folders.keep(run, folder, own)
                    empty(folder)
                    os.rmdir(name, dir_fd=shared)


def _is_abandoned(folder: int) -> bool:
    """Return whether the worker that created a directory has exited; raise OSError when one holds its lock file.

    The caller holds the lock on the directory itself, as every worker of this version does while it runs.
    """
    try:
        lock = open_regular("lock", folder)
    except FileNotFoundError:
        # Its worker may be about to create the file.
        return time.time() - os.fstat(folder).st_mtime > _LOCK_WITHIN
    except UnsafeFileError:
        return True  # No worker created that.
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(lock)
    return True
