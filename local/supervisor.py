"""Runs a group of processes: starts them in order, stops them in reverse, and leaves no process behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from types import FrameType, TracebackType
from typing import IO, Any, Self

from functions.worker.cli.environment import plain
from local.bound_to_parent import bound_to_parent
from shared.host.processes import adopt_orphans, descendants, send

# s; with the time to kill remaining processes, a stop takes at most ten seconds.
_STOP_WITHIN = 9.0
_KILL_WITHIN = 1.0


@dataclass(frozen=True, slots=True)
class Child:
    """A process to run. It is ready when it prints a line that starts with `ready`. Times are in s.

    `explain` returns why the process ended unexpectedly. A `trusted` process gets this process's environment, including
    secrets; any other gets only what every program needs. `environment` overrides either.
    """

    name: str
    argv: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: str | None = None
    stop_timeout: float = 5.0
    explain: Callable[[], str] | None = None
    trusted: bool = True


class Stopped(Exception):
    """The group is to stop, because of Ctrl-C, SIGTERM or SIGHUP."""


class ChildEnded(RuntimeError):
    """A child ended unexpectedly. The message has its name and status: an exit code or a negative signal number."""


class Supervisor:
    """Runs children until one of them ends or a signal arrives. Use it as a context manager in the main thread.

    Each child has its own session, so that Ctrl-C on the terminal reaches only the supervisor. Between `__enter__` and
    `wait`, a signal raises Stopped and the end of a child raises ChildEnded, at any point of the caller's code. On exit
    every descendant process is terminated, and killed after `stop_within` s or on a second signal.
    """

    def __init__(self, *, stop_within: float = _STOP_WITHIN) -> None:
        self._stop_within = stop_within
        self._running: list[tuple[Child, subprocess.Popen[bytes]]] = []
        self._readers: list[threading.Thread] = []
        self._handlers: dict[int, Any] = {}
        self._starting = True
        self._stopping = False
        self._kill_now = False

    def __enter__(self) -> Self:
        adopt_orphans()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, self._on_signal)
        self._handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, self._on_end)
        return self

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        # An exception during the stop would leave the remaining processes running.
        if not self._stopping:
            raise Stopped(signal.Signals(number).name)
        self._kill_now = True

    def _on_end(self, _number: int, _frame: FrameType | None) -> None:
        # A child that has ended never becomes ready; raise instead of waiting for it.
        if self._starting:
            self._check_children()

    def _check_children(self) -> None:
        for child, process in self._running:
            if process.poll() is not None:
                because = child.explain and child.explain()
                raise ChildEnded(
                    f"{child.name} ended with status {process.returncode}" + (f": {because}" if because else "")
                )

    def start(self, child: Child) -> str:
        """Start a child. With `ready`, wait for that line and return it; otherwise return "".

        Raises ChildEnded if a child ends meanwhile, RuntimeError if the child closes its standard output first.
        """
        process = subprocess.Popen(
            bound_to_parent(child.argv),
            env={**(os.environ if child.trusted else plain(os.environ)), **child.environment},
            stdin=subprocess.DEVNULL,
            # The output of children goes to the log; standard output is for the supervisor.
            stdout=subprocess.PIPE if child.ready else sys.stderr.fileno(),
            start_new_session=True,
        )
        self._running.append((child, process))
        self._check_children()  # it may have ended before it was added to the list
        if child.ready is None:
            return ""
        assert process.stdout is not None  # noqa: S101 -- it is a pipe
        found: SimpleQueue[str | None] = SimpleQueue()
        # Read from the start, so that the output of a child that ends early is logged too.
        reader = threading.Thread(target=_forward, args=(process.stdout, child.ready.encode(), found), daemon=True)
        reader.start()
        self._readers.append(reader)
        line = found.get()
        if line is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
            self._check_children()
            raise RuntimeError(f"{child.name} closed its standard output before it was ready")
        return line

    def wait(self) -> int:
        """Wait until a child ends, which is a failure: print which one and return 1. Raises Stopped."""
        try:
            self._starting = False  # from here on, waitpid reports the end of a child
            self._check_children()
            while True:
                pid, status = os.waitpid(-1, 0)  # also reaps adopted orphans
                for _, process in self._running:
                    if process.pid == pid:
                        process.returncode = os.waitstatus_to_exitcode(status)
                self._check_children()
        except ChildEnded as ended:
            print(f"{ended}; stopping the other processes", file=sys.stderr)
            return 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stopping, self._starting = True, False
        deadline = time.monotonic() + self._stop_within
        for child, process in reversed(self._running):
            self._stop(process, min(deadline, time.monotonic() + child.stop_timeout))
        if self._kill_now:
            print("stopping immediately", file=sys.stderr)
        self._kill_the_rest()
        for reader in self._readers:
            reader.join(_KILL_WITHIN)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _stop(self, process: subprocess.Popen[bytes], until: float) -> None:
        process.terminate()
        # Poll instead of wait, so that a second Ctrl-C can end this loop without an exception.
        while process.poll() is None and time.monotonic() < until and not self._kill_now:
            time.sleep(0.01)
        process.kill()
        process.wait()

    def _kill_the_rest(self) -> None:
        # Processes that a child left behind, in any session, have been adopted by this process.
        deadline = time.monotonic() + _KILL_WITHIN
        while left := descendants(os.getpid()):
            if time.monotonic() > deadline:
                print(f"these processes cannot be killed: {left}", file=sys.stderr)
                break
            send(signal.SIGKILL, left)
            time.sleep(0.01)
        # Reap the killed processes; without an init they would remain as zombies.
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _forward(stream: IO[bytes], ready: bytes, found: SimpleQueue[str | None]) -> None:
    """Copy a child's standard output to standard error, except for the first line that starts with `ready`."""
    waiting = True
    with stream:
        for line in stream:
            if waiting and line.startswith(ready):
                waiting = False
                found.put(line.decode(errors="replace").strip())
                continue
            # Continue to read when standard error is closed, so that the child does not block.
            with suppress(OSError):
                sys.stderr.buffer.write(line)
                sys.stderr.buffer.flush()
    found.put(None)
