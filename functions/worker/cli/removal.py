"""Removal of directories that a run has written to: it follows no link, and no mode or depth stops it."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from shared.host.private_files import names, opened_shared

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(root: Path) -> None:
    """Remove a directory and everything below it, or a link to one; leave what cannot be removed."""
    with suppress(OSError), opened_shared(root.parent) as parent:
        remove_at(root.name, parent)


def remove_at(name: str, parent: int) -> None:
    """Remove the entry with this name from an open directory."""
    with suppress(OSError):
        if not _is_directory(name, parent):
            os.unlink(name, dir_fd=parent)
            return
        handle = open_directory(name, parent)
        try:
            empty(handle)
        finally:
            os.close(handle)
        os.rmdir(name, dir_fd=parent)


def empty(root: int) -> None:
    """Remove everything in an open directory.

    Move deeper directories up into `root` first, so that a tree of any depth needs only two open directories and no
    recursion.
    """
    while True:
        removed = 0
        for name in names(root):
            with suppress(OSError):
                if _is_directory(name, root):
                    removed += _move_up(name, root)
                    os.rmdir(name, dir_fd=root)
                else:
                    os.unlink(name, dir_fd=root)
                removed += 1
        if removed == 0:  # Nothing is left, or nothing that is left can be removed.
            return


def _move_up(name: str, root: int) -> int:
    """Empty a directory in `root` by moving its own directories to `root`; return how many entries that took away."""
    handle = open_directory(name, root)
    gone = 0
    try:
        for below in names(handle):
            with suppress(OSError):
                if _is_directory(below, handle):
                    os.close(open_directory(below, handle))  # A directory that may not be written to cannot be moved.
                    os.rename(below, f".{uuid4().hex}", src_dir_fd=handle, dst_dir_fd=root)
                else:
                    os.unlink(below, dir_fd=handle)
                gone += 1
    finally:
        os.close(handle)
    return gone


def _is_directory(name: str, parent: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


def open_directory(name: str, parent: int) -> int:
    """Open a directory, and give its owner every right to it; raise OSError for a link and for anything else."""
    try:
        handle = os.open(name, DIRECTORY, dir_fd=parent)
    except PermissionError:
        _allow(name, parent)
        handle = os.open(name, DIRECTORY, dir_fd=parent)
    with suppress(OSError):
        os.fchmod(handle, 0o700)
    return handle


def _allow(name: str, parent: int) -> None:
    """Give a directory that cannot be opened the mode 0700; follow no link that replaces it meanwhile."""
    if not hasattr(os, "O_PATH"):
        os.chmod(name, 0o700, dir_fd=parent, follow_symlinks=False)
        return
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{handle}").chmod(0o700)
    finally:
        os.close(handle)
