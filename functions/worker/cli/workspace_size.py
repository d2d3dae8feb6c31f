"""Counts the bytes that a run has written, without trusting anything about its files."""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from functions.worker.cli.removal import DIRECTORY, open_directory
from shared.host.private_files import opened_shared

# The least that an entry counts, in bytes: a million empty files fill a disk as well.
_ENTRY = 4096
# A tree that is deeper is counted as larger than any bound.
_DEEPEST = 100


def size(directories: Iterable[Path], pids: Iterable[int], bound: int) -> int:
    """Return the bytes below directories, and of files that the processes still have open and that have no name.

    Stops counting above `bound`. No link is followed.
    """
    total = 0
    for directory in directories:
        with suppress(OSError), opened_shared(directory.parent) as parent:
            total += _below(_open(directory.name, parent), bound - total, _DEEPEST)
        if total > bound:
            return total
    return total + sum(map(_nameless, pids))


def _below(handle: int, bound: int, deepest: int) -> int:
    """Count an open directory, and close it."""
    total = 0
    try:
        if deepest == 0:
            return bound + 1
        with os.scandir(handle) as entries:
            for entry in entries:
                with suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    total += max(_ENTRY, found.st_blocks * 512)
                    if stat.S_ISDIR(found.st_mode):
                        total += _below(_open(entry.name, handle), bound - total, deepest - 1)
                if total > bound:
                    break
        return total
    finally:
        os.close(handle)


def _open(name: str, parent: int) -> int:
    """Open a directory; one that its owner may not read gets the rights that it needs."""
    try:
        return os.open(name, DIRECTORY, dir_fd=parent)
    except PermissionError:
        return open_directory(name, parent)


def _nameless(pid: int) -> int:
    total = 0
    with suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found = os.stat(entry.path)  # noqa: PTH116 -- no object for each
                if stat.S_ISREG(found.st_mode) and found.st_nlink == 0:
                    total += found.st_blocks * 512
    return total
