"""The directories of one run: fresh, empty, private, and gone afterwards."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where a run may write: its working directory, its home and the CLI's configuration directory."""

    root: Path

    @classmethod
    def create(cls) -> "Workspace":
        """Make the directories, open to nobody else."""
        workspace = cls(Path(tempfile.mkdtemp(prefix="claude-run-")))
        for directory in (workspace.work, workspace.home, workspace.config):
            directory.mkdir()
        return workspace

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

    def remove(self) -> None:
        """Remove all of it, whatever the run made of its permissions."""

        def allow_and_retry(function: object, path: str, _error: object) -> None:
            Path(path).parent.chmod(0o700)
            Path(path).chmod(0o700)
            if callable(function):
                function(path)

        shutil.rmtree(self.root, onerror=allow_and_retry)
