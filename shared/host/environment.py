"""Blanks the environment that a process was started with. Imports the standard library alone: it has to come first."""

import ctypes
import os
from pathlib import Path


def hide() -> None:
    """Blank what this process was started with, which /proc shows to others of its user, to root whatever is done.

    Python and the C library go on with copies. Linux only; anywhere else there is nothing to hide.
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
