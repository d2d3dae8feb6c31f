"""The fork server: the pool's processes are forked from a server that has imported everything.

A fork of the pool itself would copy threads and pipes; the server has neither. Importing the SDK takes a second, and is
done once for all slots, which share its memory.
"""

import multiprocessing
import os
import sys
import tempfile
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Any

# The server listens on a socket in the temporary directory; the path of a socket has at most 107 bytes.
_LONGEST_DIRECTORY = 107 - len("/pymp-12345678/listener-12345678")


# What the server imports before the first process is forked.
_PRELOADED = ["functions.worker.pool.preload"]


def preload(module: str) -> None:
    """Let the server import a module too. Call this before the first process is started."""
    _PRELOADED.append(module)


def context() -> ForkServerContext | SpawnContext:
    """Return the multiprocessing context; if the path is too long for the server, each process imports for itself.

    The server ends with this process, and its children with the server.
    """
    if len(tempfile.gettempdir().encode()) > _LONGEST_DIRECTORY:
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(_PRELOADED)
    _hide_socket()
    return found


def pids() -> set[int]:
    """Return the server's process and the one that multiprocessing starts beside it."""
    # Nothing else knows them.
    server, tracker = forkserver._forkserver._forkserver_pid, resource_tracker._resource_tracker._pid  # type: ignore[attr-defined]  # noqa: SLF001
    return {pid for pid in (server, tracker) if pid is not None}


def _hide_socket() -> None:
    """Start the server, unless it runs, and take its socket's name away.

    A process that put another socket under that name would receive the settings with the next slot. The inode is
    reached by a descriptor of this process, which keeps out of the /proc of all others.
    """
    server: Any = forkserver._forkserver  # noqa: SLF001 -- nothing else knows the address
    forkserver.ensure_running()
    if sys.platform == "linux" and not server._forkserver_address.startswith("/proc/"):  # noqa: SLF001
        inode = os.open(server._forkserver_address, os.O_PATH | os.O_CLOEXEC)  # noqa: SLF001
        os.unlink(server._forkserver_address)  # noqa: SLF001, PTH108 -- a text
        server._forkserver_address = f"/proc/self/fd/{inode}"  # noqa: SLF001
