"""The policy of one sandbox: the paths and variables that its run sees."""

import os
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from functions.worker.sandbox import system

# Paths of the run's own directories in the sandbox.
WORK, HOME, CONFIG = Path("/work"), Path(system.HOME), Path("/config")
TEMPORARY, GIVEN = Path("/tmp"), Path("/run/claude")  # noqa: S108 -- the sandbox's own
# Their names in the run's directory.
PLACES = {"work": WORK, "home": HOME, "config": CONFIG, "temporary": TEMPORARY, "given": GIVEN}
# Directory in the sandbox of a CLI that is not part of the system.
_CLI = Path("/opt/claude/claude")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Variables of the slot that a run keeps: those by which any program chooses its language.
_KEPT = ("LANG", "LANGUAGE", "TZ")
# The gateway's own code.
_PROJECT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Policy:
    """The paths that one run sees: its directories, the CLI, and those that the operator lets every run read.

    `root` holds the directories of PLACES. All are writable but `given`, which has the relay's socket and the files
    that the gateway hands to the CLI. `etc` is what `system.write_etc` wrote. `read` are those of RUN_READ_PATHS,
    `hidden` those that no run sees even where one of them contains it. `largest` bounds a file, in bytes, and
    `processes` all threads together.
    """

    cli: Path
    root: Path
    etc: Path
    read: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = field(default_factory=lambda: hidden_places())  # noqa: PLW0108 -- defined below
    largest: int = 1 << 30
    processes: int = 4096

    @property
    def cli_inside(self) -> Path:
        """The CLI's path in the sandbox: its own where that is part of the system or of RUN_READ_PATHS."""
        cli = self.cli.resolve()
        shown = (Path("/usr"), *self.read)
        covered = any(cli.is_relative_to(place) for place in system.covered(self.hidden, shown))
        return cli if not covered and any(cli.is_relative_to(place) for place in shown) else _CLI

    def bindings(self) -> list[str]:
        """Return bubblewrap's arguments for what the run sees, in the order in which they have to come.

        The launcher makes the root read-only after them, and enters the working directory.
        """
        arguments = system.bindings(self.etc)
        # A process file system that takes no writes: a gateway that runs as root could change the kernel's settings.
        arguments += ["--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev"]
        arguments += ["--size", str(64 << 20), "--perms", "1777", "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]  # noqa: S108
        for name, inside in PLACES.items():
            arguments += ["--ro-bind" if name == "given" else "--bind", str(self.root / name), str(inside)]
        for place in self.read:
            arguments += ["--ro-bind-try", str(place), str(place)]
        for place in system.covered(self.hidden, (Path("/usr"), *self.read)):
            arguments += ["--tmpfs", str(place), "--remount-ro", str(place)]
        if self.cli_inside == _CLI:
            arguments += ["--ro-bind", str(self.cli.resolve()), str(_CLI)]
        return [*arguments, "--setenv", "PATH", _PATH]


def hidden_places(more: Iterable[Path] = ()) -> tuple[Path, ...]:
    """Return the directories that are the gateway's own: its code, its packages, its working directory, and others."""
    packages = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    environment = {Path(sys.prefix)} if sys.prefix != sys.base_prefix else set()
    return tuple(sorted({_PROJECT, Path.cwd(), *packages, *environment, *(place.resolve() for place in more)}))


def foreign_variables(environment: Iterable[str], given: Iterable[str]) -> list[str]:
    """Return the variables of the slot that a run may not see; `given` are those that it is given by name."""
    kept = {*_KEPT, *given}
    return sorted(name for name in environment if name not in kept and not name.startswith("LC_"))


def slot_variables(given: Iterable[str]) -> list[str]:
    """Return those of this process."""
    return foreign_variables(os.environ, given)
