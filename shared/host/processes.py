"""Processes of a run: finds all of them and ends them.

They may leave their group and session, and outlive their parent. A slot is a subreaper, so that all of them remain its
descendants. Linux only; elsewhere only the CLI itself is ended.

This reads /proc itself: `psutil.Process.children` takes twice the CPU, and it runs for every job (docs/decisions.md).
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
# Seconds between two scans for processes that end.
_POLL_EVERY = 0.01
# Scans after which an ended child is none that asyncio reaps.
_ASYNCIO_REAPS = 2


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
    """Hide the environment, memory and descriptors of this process in /proc from other processes of its user."""
    _prctl(_PR_SET_DUMPABLE, 0)


def keep_descriptors() -> None:
    """Keep the open descriptors of this process from the programs that it starts, except standard streams.

    Python opens none that a program inherits, but those that a fork server passes over its socket are inherited.
    """
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 -- no object for each
        with suppress(OSError):  # that of the directory itself is closed
            if int(name) > 2:
                os.set_inheritable(int(name), False)


def end_with_parent(parent: int) -> None:
    """Get SIGTERM when the parent ends; call it in the child's main thread."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if _LINUX and os.getppid() != parent:  # it ended before the request
        os.kill(os.getpid(), signal.SIGTERM)


def end_with_pool() -> None:
    """Get SIGTERM when the server ends that this process was forked from, which ends with the pool."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    pool = multiprocessing.parent_process()
    # Both may have ended before the request, in which case the kernel sends no signal.
    if pool is not None and not pool.is_alive():
        os.kill(os.getpid(), signal.SIGTERM)


def set_name(name: str) -> None:
    """Set the name that `ps` and `top` show for this process: 15 bytes at most."""
    if _LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def write_oom_score(pid: int | None, score: str) -> None:
    """Set how early the kernel kills a process when memory runs out; its children inherit the score."""
    if _LINUX and pid is not None:
        Path(f"/proc/{pid}/oom_score_adj").write_text(score)


def _read(path: str) -> bytes:
    """Read a small file of /proc with three system calls: hundreds of them are read often."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, 1024)
    finally:
        os.close(file)


def _below(root: int, excluded: set[int] | None = None) -> list[_Process]:
    """List every process below `root`, zombies too, parents before children.

    Excluded processes, their descendants and those of their sessions are left out.
    """
    children: dict[int, list[_Process]] = {}
    for entry in os.listdir("/proc") if _LINUX else ():  # noqa: PTH208 -- no object for each
        if entry.isdecimal():
            with suppress(OSError):
                # pid (name, which may hold anything) state parent group session …
                state, parent, _, session = _read(f"/proc/{entry}/stat").rpartition(b")")[2].split(maxsplit=4)[:4]
                if excluded and int(session) in excluded:
                    continue
                children.setdefault(int(parent), []).append(_Process(int(entry), int(parent), state in b"ZX"))
    found: list[_Process] = []
    pending = [root]
    for pid in pending:
        below = [process for process in children.get(pid, []) if process.pid not in (excluded or ())]
        found.extend(below)
        pending.extend(process.pid for process in below)
    return found


def descendants(root: int) -> list[int]:
    """List the living processes below `root`."""
    return [process.pid for process in _below(root) if not process.ended]


def run_processes(excluded: set[int]) -> list[int]:
    """List the living processes below this one, without the excluded ones and their descendants."""
    return [process.pid for process in _below(os.getpid(), excluded) if not process.ended]


def own_memory(pid: int) -> int:
    """Return the memory of a process in bytes, without mapped files; 0 when it has exited.

    Page tables count, which a process can fill without memory of its own, and so does what is swapped out.
    """
    with suppress(OSError):
        kilobytes = 0
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith(("RssAnon:", "RssShmem:", "VmPTE:", "VmSwap:")):
                kilobytes += int(line.split()[1])
        return kilobytes * 1024
    return 0


def memory_below(root: int) -> int:
    """Return the memory of a process and all below it, in bytes, without mapped files."""
    return sum(own_memory(pid) for pid in (root, *descendants(root)))


def below(excluded: set[int]) -> list[int]:
    """List the processes below this one, zombies too, without the excluded ones and their descendants."""
    return [process.pid for process in _below(os.getpid(), excluded)]


def is_below(pid: int, root: int) -> bool:
    """Return whether a process is `root` or descends from it; False for one that has ended. Linux only."""
    while pid > 1 and pid != root:
        try:
            pid = int(_read(f"/proc/{pid}/stat").rpartition(b")")[2].split(maxsplit=2)[1])
        except OSError:
            return False
    return pid == root


def children(root: int) -> list[int]:
    """List the children of `root`, zombies too."""
    return [process.pid for process in _below(root) if process.parent == root]


def collect(pids: list[int]) -> list[int]:
    """Reap adopted processes that have ended, without blocking; return those that have not."""
    left = []
    for pid in pids:
        with suppress(ChildProcessError):  # not a child yet, or no longer
            if os.waitpid(pid, os.WNOHANG)[0]:
                continue
        if Path(f"/proc/{pid}").exists():
            left.append(pid)
    return left


def send(signal_number: signal.Signals, pids: list[int]) -> None:
    """Send a signal to processes, some of which may have ended."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal_number)


async def end_descendants(excluded: Callable[[], Awaitable[set[int]]], *, reaped: int | None, grace: float) -> None:
    """End every process below this one but the excluded: SIGTERM, then SIGKILL after `grace` seconds.

    asyncio reaps the CLI, `reaped`, and MCP servers, those within a turn or two of the loop. Children that stay are
    adopted, and reaped here.
    """
    is_terminated = False
    scans: dict[int, int] = {}
    deadline = time.monotonic() + grace
    # No child may be spawned between reading the exclusion set and scanning /proc.
    while True:
        started = time.monotonic()
        if not (processes := _below(os.getpid(), await excluded())):
            return
        living = [process.pid for process in processes if not process.ended]
        if not is_terminated:
            send(signal.SIGTERM, living)
            is_terminated = True
        elif time.monotonic() >= deadline:
            # Stopped first, so that none forks while the others are killed; the next scan finds one that did.
            send(signal.SIGSTOP, living)
            send(signal.SIGKILL, living)
        for process in processes:
            if process.ended and process.parent == os.getpid() and process.pid != reaped:
                scans[process.pid] = scans.get(process.pid, 0) + 1
                if scans[process.pid] > _ASYNCIO_REAPS:
                    with suppress(ChildProcessError):
                        os.waitpid(process.pid, os.WNOHANG)  # noqa: ASYNC222 -- does not wait
        # No event announces the end of a process that is not a child, so this polls: half of the time at most, since a
        # scan takes longer the more processes there are.
        await asyncio.sleep(max(_POLL_EVERY, time.monotonic() - started))
