"""The bounds of a run's processes: how many, and how much memory they have of their own.

An unprivileged container offers no limit for a group of processes, so they are counted, a few times a second. The
files that a process has mapped are not counted: they are the same few hundred megabytes for every CLI.
"""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

from functions.worker import processes
from functions.worker.cli import Spared
from shared.logs import event
from shared.settings import WorkerSettings

log = logging.getLogger("worker.resources")

_LOOK_EVERY = 0.2


async def exceeded(spared: Spared, settings: WorkerSettings) -> None:
    """Return when a run of this slot has more than its bounds allow."""
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        pids = processes.run_processes(await spared())
        memory = sum(map(_own_memory, pids))
        if len(pids) > settings.max_run_processes or memory > settings.max_run_memory:
            event(log, "run_exceeds_bounds", logging.WARNING, processes=len(pids), memory=memory)
            return


def _own_memory(pid: int) -> int:
    """Return the bytes that a process holds beside mapped files; 0 when it has gone."""
    with suppress(OSError):
        kilobytes = 0
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith(("RssAnon:", "RssShmem:")):
                kilobytes += int(line.split()[1])
        return kilobytes * 1024
    return 0
