"""Starts a program that ends with its parent: `python -m local.bound_to_parent PARENT PROGRAM ARGUMENT…`.

Linux sends the signal when the *thread* that started this process ends: start it from a permanent thread.
"""

import os
import sys
from pathlib import Path

from shared.host.processes import end_with_parent


def bound_to_parent(argv: list[str]) -> list[str]:
    """Return a command that runs `argv` in a process that receives SIGTERM when the current process ends."""
    return [sys.executable, str(Path(__file__).resolve()), str(os.getpid()), *argv]


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    # The parent-death signal is kept across exec.
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 -- no shell is needed
