"""Files in directories that other programs may write to: opened without following links or blocking.

Every function takes an open directory and a name in it, so that no directory can be replaced between two steps.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

TEMPORARY = ".spool-"


class UnsafeFileError(OSError):
    """The file may not have been written by this user's gateway."""


@contextmanager
def opened(path: Path | str, parent: int | None = None) -> Iterator[int]:
    """Open a directory of this user; raise OSError for a link, another kind of file, or another user's directory."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        if os.fstat(handle).st_uid != os.geteuid():
            raise UnsafeFileError("belongs to another user")
        yield handle
    finally:
        os.close(handle)


@contextmanager
def opened_shared(path: Path) -> Iterator[int]:
    """Open a directory of any user, such as the one for temporary files."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def names(directory: int) -> list[str]:
    """List the names in an open directory."""
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries]


def open_regular(name: str, directory: int, flags: int = os.O_RDONLY) -> int:
    """Open a regular file of this user without other hard links; raise UnsafeFileError for anything else."""
    # Checked before it is opened, since opening a device can have effects.
    _check(os.stat(name, dir_fd=directory, follow_symlinks=False))
    handle = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    try:
        _check(os.fstat(handle))
    except OSError:
        os.close(handle)
        raise
    return handle


def _check(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UnsafeFileError("not a regular file")
    if found.st_uid != os.geteuid():
        raise UnsafeFileError("belongs to another user")
    if found.st_nlink != 1:
        raise UnsafeFileError("has another hard link")


def read(name: str, directory: int, longest: int) -> bytes:
    """Read a regular file of at most `longest` bytes; raise UnsafeFileError for anything else."""
    with os.fdopen(open_regular(name, directory), "rb") as file:
        data = file.read(longest + 1)
    if len(data) > longest:
        raise UnsafeFileError("too large")
    return data


def write(name: str, directory: int, data: bytes) -> None:
    """Write a file atomically and durably: it is on the disk when this returns."""
    temporary = f"{TEMPORARY}{uuid4().hex}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(temporary, flags, 0o600, dir_fd=directory)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise
    os.fsync(directory)
