"""The fork server: the pool's processes are forked from a server that has imported everything.

A fork of the pool itself would copy threads and pipes; the server has neither. Importing the SDK takes a second, and is
done once for all slots, which share its memory.
"""

import multiprocessing
import tempfile
from multiprocessing.context import ForkServerContext, SpawnContext

# The server listens on a socket in the temporary directory; the path of a socket has at most 107 bytes.
_LONGEST_DIRECTORY = 107 - len("/pymp-12345678/listener-12345678")


def context() -> ForkServerContext | SpawnContext:
    """Return the multiprocessing context; if the path is too long for the server, each process imports for itself.

    The server ends with this process, and its children with the server.
    """
    if len(tempfile.gettempdir().encode()) > _LONGEST_DIRECTORY:
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["functions.worker.pool.preload"])
    return found
