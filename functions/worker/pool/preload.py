"""What the server imports that slots are forked from; it ends with the pool, and keeps out of /proc, as they do."""

import os

from functions.worker.pool import slot
from shared.host import processes
from shared.host.environment import hide

__all__ = ["slot"]

hide()
processes.set_name("cg-forkserver")
# By itself it would end with the last of its slots, and they end with it.
processes.end_with_parent(os.getppid())
processes.hide_memory()
