"""Find the artifacts of a run: the regular files below `outputs/` of its working directory.

The run has ended, but its files are as hostile as it was: no link is followed, nothing but a regular file is opened,
and no opening blocks.
"""

import json
import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from functions.worker.cli.removal import DIRECTORY, open_directory
from shared.api.job_files import check_path
from shared.api.outputs import MAX_ARTIFACTS

FOLDER = "outputs"
# A tree that is deeper has more open directories than a process may have.
_DEEPEST = 100
# Bytes of JSON that the paths may take in the result, and what one entry takes beside its path.
_LISTED, _ENTRY = 262_144, 250
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(slots=True)
class Found:
    """The paths and sizes of artifacts, sorted by path, and the numbers of files that are omitted, by reason."""

    sizes: dict[str, int] = field(default_factory=dict)
    omitted: Counter[str] = field(default_factory=Counter)


def is_there(work: Path) -> bool:
    """Return whether the working directory has an entry `outputs` of any kind."""
    with suppress(OSError):
        (work / FOLDER).lstat()
        return True
    return False


def find(work: Path, *, largest: int, most_bytes: int) -> Found:
    """List the artifacts of at most `largest` bytes each and `most_bytes` together; raise nothing."""
    found = Found()
    left, listed = most_bytes, _LISTED
    try:
        parent = os.open(work, DIRECTORY)
    except OSError:
        return found
    try:
        for path, size in _regular(FOLDER, parent, "", found.omitted, _DEEPEST):
            cost = len(json.dumps(path)) + _ENTRY
            if size > largest:
                found.omitted["too_large"] += 1
            elif len(found.sizes) >= MAX_ARTIFACTS or size > left or cost > listed:
                found.omitted["too_many"] += 1
            else:
                left, listed = left - size, listed - cost
                found.sizes[path] = size
    finally:
        os.close(parent)
    return found


def _regular(name: str, parent: int, prefix: str, omitted: Counter[str], deepest: int) -> Iterator[tuple[str, int]]:
    """Yield path and size of each regular file in a directory, in the order of the names."""
    try:
        folder = open_directory(name, parent)
    except FileNotFoundError:
        return
    except OSError:
        omitted["not_regular"] += 1
        return
    try:
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: os.fsencode(entry.name))
        for entry in entries:
            path = prefix + entry.name
            try:
                found = entry.stat(follow_symlinks=False)
                check_path(path)
            except ValueError:  # also a name that is not UTF-8
                omitted["invalid_name"] += 1
                continue
            except OSError:
                omitted["unreadable"] += 1
                continue
            if stat.S_ISREG(found.st_mode):
                yield path, found.st_size
            elif not stat.S_ISDIR(found.st_mode):
                omitted["not_regular"] += 1
            elif deepest == 0:
                omitted["invalid_name"] += 1
            else:
                yield from _regular(entry.name, folder, f"{path}/", omitted, deepest - 1)
    finally:
        os.close(folder)


def open_regular(root: Path, path: str) -> int:
    """Open a regular file by its path below a directory; raise OSError for anything else, and for a link above it."""
    *above, name = path.split("/")
    folder = os.open(root, DIRECTORY)
    try:
        for one in above:
            below = os.open(one, DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = below
        # Looked at before it is opened: opening a device can have effects.
        if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError("not a regular file")
        handle = os.open(name, _FILE, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError("not a regular file")
    return handle
