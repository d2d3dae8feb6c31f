"""Blanks the environment that a process was started with. It runs before other imports, so it needs only the stdlib."""

import ctypes
import os
from pathlib import Path


def hide() -> None:
    """Blank the initial environment, which /proc shows to other processes of this user, and always to root.

    Python and the C library use copies. Does nothing except on Linux.
    """
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return
    start, end = int(fields[47]), int(fields[48])  # env_start and env_end, counted from the state
    for name, value in os.environ.items():
        os.environ[name] = value  # makes the C library copy it
    if 0 < start < end:
        ctypes.memset(start, 0, end - start)
