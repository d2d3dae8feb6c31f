"""Bounds what a slot keeps of the memory that its runs made it take."""

import ctypes
import gc
import os

from shared.host import processes

# Bytes by which a slot may grow in all: a tool can write to the output of its CLI, and the next run of the slot has the
# whole of MAX_RUN_MEMORY again.
_MAY_GROW = 256 << 20


class SlotMemory:
    """The memory of this process since its start; a slot asks after each run."""

    def __init__(self) -> None:
        self._most = processes.own_memory(os.getpid()) + _MAY_GROW

    def is_used_up(self) -> bool:
        """Return whether the process is too large, even after it has returned what it does not use to the kernel."""
        if processes.own_memory(os.getpid()) <= self._most:
            return False
        gc.collect()
        # The allocator keeps pages between those in use. Only glibc has this function.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
        return processes.own_memory(os.getpid()) > self._most
