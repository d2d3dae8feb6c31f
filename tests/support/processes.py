"""Processes of one test, which never outlive it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import psutil

P = TypeVar("P", subprocess.Popen[str], subprocess.Popen[bytes], psutil.Popen)


@contextmanager
def running(process: P) -> Iterator[P]:
    """Yield a process; at the end kill it when it still runs, wait for it and close its pipes.

    The `with` of Popen itself waits without a limit. A test that has failed, by its timeout too, would then never end.
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
