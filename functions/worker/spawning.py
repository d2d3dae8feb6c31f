"""How the pool starts its processes: forked from a server that has imported everything and holds nothing.

A fork of the pool itself would copy threads and pipes. The server has neither, and importing the SDK, which takes a
second, is done once for all slots; what they share of it is in memory once.
"""

import multiprocessing
from multiprocessing.context import ForkServerContext


def context() -> ForkServerContext:
    """Return the context to start processes with; its server ends with this process, and they with the server."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["functions.worker.preload"])
    return found
