"""The limits of a run: the number of its processes, their memory, and the bytes that it has written.

An unprivileged container has no limit for a group of processes, so they are sampled at intervals. Mapped files do not
count as memory: they are the same few hundred megabytes for every CLI. What the slot's own memory grows by counts as
the run's: a tool can write to the CLI's output, and the slot keeps some of what it reads there.
"""

import asyncio
import logging
import os
import time
from pathlib import Path

from functions.worker.cli.process import Excluded
from functions.worker.cli.workspace_size import size
from shared.configuration.settings import WorkerSettings
from shared.host import processes
from shared.logs import event

log = logging.getLogger("worker.resources")

# Seconds between samples. A tool can take memory and start processes fast; without tools the CLI's memory grows slowly.
_LOOK_EVERY, _LOOK_EVERY_WITHOUT_TOOLS = 0.2, 1.0
# Files are counted so often, and never for more than this share of the time; s.
_COUNT_EVERY, _COUNT_SHARE = 1.0, 0.05
# A file system that loses this share of MAX_WORKSPACE_BYTES between two looks is counted at once.
_SUSPICIOUS = 0.25


async def exceeded(
    excluded: Excluded, settings: WorkerSettings, *, has_tools: bool, folder: Path | None = None
) -> None:
    """Return when the run of this slot exceeds a limit; `folder` holds its directories."""
    written = _Written(folder, settings.max_workspace_bytes) if has_tools and folder is not None else None
    slot, before = os.getpid(), processes.own_memory(os.getpid())
    while True:
        await asyncio.sleep(_LOOK_EVERY if has_tools else _LOOK_EVERY_WITHOUT_TOOLS)
        pids = processes.run_processes(await excluded())
        memory = sum(map(processes.own_memory, pids)) + max(0, processes.own_memory(slot) - before)
        count = 0 if written is None else await written.count(pids)
        too_many = len(pids) > settings.max_run_processes or memory > settings.max_run_memory
        if too_many or count > settings.max_workspace_bytes:
            event(log, "run_exceeds_bounds", logging.WARNING, processes=len(pids), memory=memory, written=count)
            return


class _Written:
    """The bytes that a run has written, counted when it is time to."""

    def __init__(self, folder: Path, bound: int) -> None:
        self._folder, self._bound = folder, bound
        self._free = _free(folder)
        self._next = time.monotonic() + _COUNT_EVERY

    async def count(self, pids: list[int]) -> int:
        """Return the bytes; 0 while it is not time to count them."""
        free = _free(self._folder)
        if time.monotonic() < self._next and self._free - free < self._bound * _SUSPICIOUS:
            return 0
        self._free = free
        started = time.monotonic()
        places = [self._folder / name for name in ("work", "home", "config", "temporary")]
        found = await asyncio.to_thread(size, places, pids, self._bound)
        now = time.monotonic()
        self._next = now + max(_COUNT_EVERY, (now - started) / _COUNT_SHARE)
        return found


def _free(folder: Path) -> int:
    try:
        seen = os.statvfs(folder)
    except OSError:
        return 0
    return seen.f_bfree * seen.f_frsize
