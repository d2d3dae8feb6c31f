"""The bounds of a run's processes: how many, and how much memory they have of their own.

An unprivileged container offers no limit for a group of processes, so they are counted, now and then. The files that a
process has mapped are not counted: they are the same few hundred megabytes for every CLI.
"""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

from functions.worker.cli.process import Spared
from shared.configuration.settings import WorkerSettings
from shared.host import processes
from shared.logs import event

log = logging.getLogger("worker.resources")

# A tool takes memory and starts processes as fast as it can; a CLI that only answers grows with its answer; s.
_LOOK_EVERY, _LOOK_EVERY_WITHOUT_TOOLS = 0.2, 1.0


async def exceeded(spared: Spared, settings: WorkerSettings, *, has_tools: bool) -> None:
    """Return when a run of this slot has more than its bounds allow."""
    while True:
        await asyncio.sleep(_LOOK_EVERY if has_tools else _LOOK_EVERY_WITHOUT_TOOLS)
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
