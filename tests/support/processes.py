"""Processes that never outlive their test."""

import ctypes
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import psutil

P = TypeVar("P", subprocess.Popen[str], subprocess.Popen[bytes], psutil.Popen)


@contextmanager
def running(process: P) -> Iterator[P]:
    """Yield a process; at the end kill it if it still runs, wait for it and close its pipes.

    Popen's own `with` waits without a limit, so that a failed test, also by its timeout, would never end.
    """
    try:
        yield process
    finally:
        with suppress(psutil.NoSuchProcess):
            process.kill()
        process.wait(10)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def leave_orphans() -> None:
    """Leave orphans to the system: an earlier test may have made this process adopt them, as a slot does."""
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
