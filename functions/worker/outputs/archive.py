"""Pack the working directory of a run into an archive, and unpack it for the next turn of its session.

What a run has written is hostile, and so is the archive: no link is followed on either way, nothing but directories,
regular files and symbolic links is taken, and all of it is bounded.
"""

import gzip
import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from functions.worker.cli.removal import DIRECTORY, open_directory

# Fast: the archive is made while a client waits.
_LEVEL = 1
_MOST_ENTRIES, _DEEPEST = 500_000, 100
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 1 << 20


class ArchiveError(Exception):
    """A directory is too large or cannot be read, or an archive is not one of ours."""


def pack(root: Path, target: Path, most: int) -> int:
    """Write what is below a directory, of at most `most` bytes, into a new file, and return its size.

    Raises ArchiveError.
    """
    try:
        handle = os.open(target, _NEW, 0o600)
        with (
            os.fdopen(handle, "wb") as file,
            gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            budget = _Budget(most)
            top = os.open(root, DIRECTORY)
            try:
                _add_all(archive, top, "", budget, _DEEPEST)
            finally:
                os.close(top)
        return target.stat().st_size
    except (OSError, ValueError, tarfile.TarError) as error:
        raise ArchiveError(type(error).__name__) from None


class _Budget:
    """Counts bytes and entries; raises ArchiveError for too many."""

    def __init__(self, most: int) -> None:
        self._bytes, self._entries = most, _MOST_ENTRIES

    def take(self, size: int) -> None:
        self._bytes -= size
        self._entries -= 1
        if self._bytes < 0 or self._entries < 0:
            raise ArchiveError("too large")


def _add_all(archive: tarfile.TarFile, folder: int, prefix: str, budget: _Budget, deepest: int) -> None:
    if deepest == 0:
        raise ArchiveError("too deep")
    with os.scandir(folder) as scanned:
        entries = sorted(scanned, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        found = entry.stat(follow_symlinks=False)
        info = tarfile.TarInfo(prefix + entry.name)
        info.mode, info.mtime = stat.S_IMODE(found.st_mode) & 0o777, found.st_mtime
        if stat.S_ISLNK(found.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(entry.name, dir_fd=folder)
            budget.take(0)
            archive.addfile(info)
        elif stat.S_ISDIR(found.st_mode):
            info.type = tarfile.DIRTYPE
            budget.take(0)
            archive.addfile(info)
            below = open_directory(entry.name, folder)
            try:
                _add_all(archive, below, f"{info.name}/", budget, deepest - 1)
            finally:
                os.close(below)
        elif stat.S_ISREG(found.st_mode):
            _add_file(archive, info, os.open(entry.name, _OPEN, dir_fd=folder), budget)


def _add_file(archive: tarfile.TarFile, info: tarfile.TarInfo, handle: int, budget: _Budget) -> None:
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ArchiveError("not a regular file")
        info.size = found.st_size
        budget.take(info.size)
        archive.addfile(info, file)


def unpack(source: Path, root: Path, most: int) -> None:
    """Write what `pack` packed below an empty directory; raise ArchiveError for anything else."""
    # Their modes and times are set at the end: until then files are written into them.
    directories: list[tarfile.TarInfo] = []
    budget = _Budget(most)
    try:
        with gzip.open(source, "rb") as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
            for info in archive:
                budget.take(info.size if info.isreg() else 0)
                _extract(archive, info, root)
                if info.isdir():
                    directories.append(info)
        for info in reversed(directories):
            with _parent(root, info.name) as (folder, name):
                handle = os.open(name, DIRECTORY, dir_fd=folder)
                try:
                    os.fchmod(handle, info.mode & 0o777)
                    os.utime(handle, (info.mtime, info.mtime))
                finally:
                    os.close(handle)
    except (OSError, EOFError, ValueError, tarfile.TarError) as error:
        raise ArchiveError(type(error).__name__) from None


def _extract(archive: tarfile.TarFile, info: tarfile.TarInfo, root: Path) -> None:
    with _parent(root, info.name) as (folder, name):
        if info.isdir():
            os.mkdir(name, 0o755, dir_fd=folder)
        elif info.issym():
            os.symlink(info.linkname, name, dir_fd=folder)
        elif info.isreg():
            content = archive.extractfile(info)
            handle = os.open(name, _NEW, 0o600, dir_fd=folder)
            with os.fdopen(handle, "wb") as file:
                while content is not None and (piece := content.read(_PIECE)):
                    file.write(piece)
                file.flush()
                os.fchmod(handle, info.mode & 0o777)
                os.utime(handle, (info.mtime, info.mtime))
        else:
            raise ArchiveError("not an archive of ours")


@contextmanager
def _parent(root: Path, path: str) -> Iterator[tuple[int, str]]:
    """Yield the open directory of a path below `root`, and the last name; raise OSError for a link above it."""
    *above, name = path.rstrip("/").split("/")
    if {"", ".", ".."} & {*above, name}:
        raise ArchiveError("not an archive of ours")
    folder = os.open(root, DIRECTORY)
    try:
        for one in above:
            below = os.open(one, DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = below
        yield folder, name
    finally:
        os.close(folder)
