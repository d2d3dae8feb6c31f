"""The limits of a run's processes: their number, and their memory.

An unprivileged container has no limit for a group of processes, so they are sampled at intervals. Mapped files do not
count as memory: they are the same few hundred megabytes for every CLI.
"""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

from functions.worker.cli.process import Excluded
from shared.configuration.settings import WorkerSettings
from shared.host import processes
from shared.logs import event

log = logging.getLogger("worker.resources")

# Seconds between samples. A tool can take memory and start processes fast; without tools the CLI's memory grows slowly.
_LOOK_EVERY, _LOOK_EVERY_WITHOUT_TOOLS = 0.2, 1.0


async def exceeded(excluded: Excluded, settings: WorkerSettings, *, has_tools: bool) -> None:
    """Return when the run of this slot exceeds a limit."""
    while True:
        await asyncio.sleep(_LOOK_EVERY if has_tools else _LOOK_EVERY_WITHOUT_TOOLS)
        pids = processes.run_processes(await excluded())
        memory = sum(map(_own_memory, pids))
        if len(pids) > settings.max_run_processes or memory > settings.max_run_memory:
            event(log, "run_exceeds_bounds", logging.WARNING, processes=len(pids), memory=memory)
            return


def _own_memory(pid: int) -> int:
    """Return the memory of a process in bytes, without mapped files; 0 when it has exited."""
    with suppress(OSError):
        kilobytes = 0
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith(("RssAnon:", "RssShmem:")):
                kilobytes += int(line.split()[1])
        return kilobytes * 1024
    return 0
