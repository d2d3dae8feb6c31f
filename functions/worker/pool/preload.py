"""Imported by the fork server: a slot's modules. The server ends with the pool and hides its memory, as slots do."""

import os

from functions.worker.pool import slot
from shared.host import processes
from shared.host.environment import hide

__all__ = ["slot"]

hide()
processes.set_name("cg-forkserver")
# Without this the server would end with the last slot, and the slots end with the server.
processes.end_with_parent(os.getppid())
processes.hide_memory()
