"""Processes of a run: found wherever they hide, and ended.

A run's processes may leave their group and their session, and may outlive the one that started them. A slot is a
subreaper, so all of them stay its descendants whatever they do. Linux only; elsewhere the CLI alone is ended.
"""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 4, 15, 36
_LINUX = sys.platform == "linux"


class _Process(NamedTuple):
    pid: int
    parent: int
    ended: bool


def _prctl(option: int, value: int) -> None:
    if _LINUX and ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def hide_memory() -> None:
    """Keep processes of the same user out of this one's /proc: environment, memory and descriptors."""
    _prctl(_PR_SET_DUMPABLE, 0)


def end_with_parent(parent: int) -> None:
    """Ask for SIGTERM at the parent's end; to be called by the child, in its main thread."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if _LINUX and os.getppid() != parent:  # it ended before we asked
        os.kill(os.getpid(), signal.SIGTERM)


def end_with_pool() -> None:
    """Ask for SIGTERM at the end of the server that this process was forked from, which ends with the pool."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    pool = multiprocessing.parent_process()
    # Both may have ended before we asked, or before we began: then nobody sends it.
    if pool is not None and not pool.is_alive():
        os.kill(os.getpid(), signal.SIGTERM)


def set_name(name: str) -> None:
    """Give this process the name by which `ps` and `top` show it: 15 bytes at most."""
    if _LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def write_oom_score(pid: int | None, score: str) -> None:
    """Set whom the kernel ends first when memory runs out; what the process starts inherits it."""
    if _LINUX and pid is not None:
        Path(f"/proc/{pid}/oom_score_adj").write_text(score)


def _read(path: str) -> bytes:
    """Read a small file of /proc, as cheaply as can be: there are hundreds, and they are looked at often."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, 1024)
    finally:
        os.close(file)


def _below(root: int, spared: set[int] | None = None) -> list[_Process]:
    """List every process below `root`, ended ones that nobody has waited for too, parents before children.

    The spared, and what is below them, are left out.
    """
    children: dict[int, list[_Process]] = {}
    for entry in os.listdir("/proc") if _LINUX else ():  # noqa: PTH208 -- no object for each
        if entry.isdecimal():
            with suppress(OSError):
                # pid (name, which may hold anything) state parent …
                state, parent = _read(f"/proc/{entry}/stat").rpartition(b")")[2].split(maxsplit=2)[:2]
                children.setdefault(int(parent), []).append(_Process(int(entry), int(parent), state in b"ZX"))
    found: list[_Process] = []
    pending = [root]
    for pid in pending:
        below = [process for process in children.get(pid, []) if process.pid not in (spared or ())]
        found.extend(below)
        pending.extend(process.pid for process in below)
    return found


def descendants(root: int) -> list[int]:
    """List the living processes below `root`."""
    return [process.pid for process in _below(root) if not process.ended]


def run_processes(spared: set[int]) -> list[int]:
    """List the living processes below this one, but for the spared."""
    return [process.pid for process in _below(os.getpid(), spared) if not process.ended]


def children(root: int) -> list[int]:
    """List the processes that `root` is the parent of, those too that have ended and that nobody has waited for."""
    return [process.pid for process in _below(root) if process.parent == root]


def collect(pids: list[int]) -> list[int]:
    """Wait for adopted processes that have ended, without blocking; return those that are still to come."""
    coming = []
    for pid in pids:
        with suppress(ChildProcessError):  # not ours yet, or not any more
            if os.waitpid(pid, os.WNOHANG)[0]:
                continue
        if Path(f"/proc/{pid}").exists():
            coming.append(pid)
    return coming


def send(signal_number: signal.Signals, pids: list[int]) -> None:
    """Send a signal to processes, some of which may be gone already."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal_number)


async def end_descendants(spared: Callable[[], Awaitable[set[int]]], *, waited_for: int | None, grace: float) -> None:
    """End every process below this one but the spared: SIGTERM, `grace` s for them to go, then SIGKILL for the rest.

    `waited_for` is the child that asyncio waits for by itself; the other children are adopted, and collected here.
    """
    told = False
    deadline = time.monotonic() + grace
    # Nothing may be born between the question who is spared and the look at who is there.
    while processes := _below(os.getpid(), await spared()):
        living = [process.pid for process in processes if not process.ended]
        if not told:
            send(signal.SIGTERM, living)
            told = True
        elif time.monotonic() >= deadline:
            # Stopped first, so that none forks while the others are ended; one that did is found by the next look.
            send(signal.SIGSTOP, living)
            send(signal.SIGKILL, living)
        for process in processes:
            if process.ended and process.parent == os.getpid() and process.pid != waited_for:
                with suppress(ChildProcessError):
                    os.waitpid(process.pid, os.WNOHANG)  # noqa: ASYNC222 -- does not wait
        # Nothing tells of the end of a process that is not our child, so this is looked at.
        await asyncio.sleep(0.01)
