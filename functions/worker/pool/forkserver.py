"""How the pool starts its processes: forked from a server that has imported everything and holds nothing.

A fork of the pool itself would copy threads and pipes. The server has neither, and importing the SDK, which takes a
second, is done once for all slots; what they share of it is in memory once.
"""

import multiprocessing
import tempfile
from multiprocessing.context import ForkServerContext, SpawnContext

# The server listens on a socket in the temporary directory, and a socket's path has 107 bytes at most.
_LONGEST_DIRECTORY = 107 - len("/pymp-12345678/listener-12345678")


def context() -> ForkServerContext | SpawnContext:
    """Return the context to start processes with; where there is no room for the server, each imports for itself.

    The server ends with this process, and what it started with the server.
    """
    if len(tempfile.gettempdir().encode()) > _LONGEST_DIRECTORY:
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["functions.worker.pool.preload"])
    return found
