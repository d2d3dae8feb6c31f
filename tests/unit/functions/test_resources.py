"""The limits of a run's processes, sampled by whether the run has tools."""

import asyncio
import mmap
import os
import sys

import pytest

from functions.worker.cli import resources
from shared.configuration.settings import WorkerSettings
from shared.host import processes


async def nobody():
    return set()


@pytest.mark.parametrize("has_tools", [True, False])
async def test_a_run_with_tools_is_sampled_at_its_own_interval(monkeypatch, has_tools):
    monkeypatch.setattr(processes, "run_processes", lambda excluded: [os.getpid()])
    monkeypatch.setattr(resources, "_LOOK_EVERY", 0.01 if has_tools else 60.0)
    monkeypatch.setattr(resources, "_LOOK_EVERY_WITHOUT_TOOLS", 60.0 if has_tools else 0.01)
    async with asyncio.timeout(10):
        await resources.exceeded(nobody, WorkerSettings(max_run_memory=1 << 20), has_tools=has_tools)


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_page_tables_count_as_memory():
    """Catches a run that takes gigabytes by looking at memory that it never writes to."""
    before = processes.own_memory(os.getpid())
    with mmap.mmap(-1, 16 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ) as held:
        held.madvise(mmap.MADV_NOHUGEPAGE)
        for place in range(0, len(held), 2 << 20):
            held[place]
        assert processes.own_memory(os.getpid()) - before >= 30 << 20
