"""The directories of runs that have ended and whose slot died before it had stored what they left.

A slot marks the directory of such a run. Its pool keeps a marked one when the slot dies, and so does the next worker on
the same machine; then any slot takes it, once: a directory whose second slot dies too is removed.
"""

import os
from contextlib import suppress
from pathlib import Path

from shared.host.private_files import names, opened

MARK = "finished.json"
RUN, _KEPT = "claude-run-", "claude-finished-"
_TAKEN = "-again-"


def is_kept(name: str, folder: int) -> bool:
    """Return whether a directory, whose slot has exited, is that of a run to be taken."""
    if name.startswith(_KEPT):
        return True
    if not name.startswith(RUN) or _TAKEN in name:
        return False
    try:
        os.stat(f"{name}/{MARK}", dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return True


def keep(name: str, source: int, target: int) -> bool:
    """Move the directory of a run from one open directory into another, where slots find it; return whether it is."""
    with suppress(OSError):
        os.rename(name, f"{_KEPT}{name.removeprefix(_KEPT).removeprefix(RUN)}", src_dir_fd=source, dst_dir_fd=target)
        return True
    return False


def take(folder: Path) -> Path | None:
    """Take one of the kept directories for this slot, and return it; None when there is none."""
    with suppress(OSError), opened(folder) as handle:
        for name in names(handle):
            if name.startswith(_KEPT):
                taken = f"{RUN}{os.getpid()}{_TAKEN}{name.removeprefix(_KEPT)}"
                with suppress(OSError):  # another slot has taken it
                    os.rename(name, taken, src_dir_fd=handle, dst_dir_fd=handle)
                    return folder / taken
    return None


def give_back(taken: Path) -> None:
    """Let a slot take a directory again."""
    with suppress(OSError):
        taken.rename(taken.with_name(_KEPT + taken.name.partition(_TAKEN)[2]))
