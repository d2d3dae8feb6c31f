"""The directories of one run: fresh, empty, private, and gone afterwards, by the worker's successor if need be."""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


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
    def system_prompt(self) -> Path:
        """The file that holds the system prompt of a request that has one."""
        return self.root / "system-prompt"

    def remove(self) -> None:
        """Remove all of it, whatever the run made of its permissions."""
        _remove(self.root)


class WorkerFolder:
    """The temporary directory of one worker's runs; a lock says that the worker lives, for as long as it does."""

    def __init__(self) -> None:
        """Make it the temporary directory of this process and its slots; remove those of workers that were killed."""
        parent = Path(tempfile.gettempdir())
        for left in parent.glob("claude-worker-*"):
            with suppress(OSError), (left / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(left)
        self._folder = Path(tempfile.mkdtemp(prefix="claude-worker-"))
        self._lock = (self._folder / "lock").open("a")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        os.environ["TMPDIR"] = str(self._folder)

    def remove_runs_of(self, slot: int) -> None:
        """Remove what a slot that has ended, by its pid, left."""
        for left in self._folder.glob(f"claude-run-{slot}-*"):
            _remove(left)

    def remove(self) -> None:
        """Remove it, at the worker's end."""
        _remove(self._folder)
        self._lock.close()


def _remove(root: Path) -> None:
    def allow_and_retry(function: object, path: str, _error: object) -> None:
        with suppress(OSError):  # gone meanwhile
            Path(path).parent.chmod(0o700)
            Path(path).chmod(0o700)
            if callable(function):
                function(path)

    shutil.rmtree(root, onerror=allow_and_retry)
