"""Names of workers and slots: `HOST-PID-START`, and `HOST-PID-START-NUMBER` for a slot of that worker.

A container that restarts keeps its host name and process id. START is random, so that no name of a killed worker
is used again.
"""

import os
import secrets
import socket


def new_worker() -> str:
    """Return a name for the worker that starts in this process."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def slot_of(worker: str, number: int) -> str:
    """Return the name of a worker's slot."""
    return f"{worker}-{number}"


def host_of(slot: str) -> str:
    """Return the host name in the name of a slot, which may contain hyphens itself."""
    return slot.rsplit("-", 3)[0]
