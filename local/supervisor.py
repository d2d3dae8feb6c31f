"""Runs a set of processes as one: started one after another, stopped in reverse, none left behind."""

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

# Together with what it takes to kill what is left, ten seconds at most.
_STOP_WITHIN = 9.0
_KILL_WITHIN = 1.0


@dataclass(frozen=True, slots=True)
class Child:
    """A process to run; `ready` begins the line that it prints on standard output when it is; times in s.

    `explain` says why it ended, when it has not been asked to. With `trusted` it gets this process's environment, with
    its secrets, and `environment` over it; without, only what any program needs.
    """

    name: str
    argv: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: str | None = None
    stop_timeout: float = 5.0
    explain: Callable[[], str] | None = None
    trusted: bool = True


class Stopped(Exception):
    """Somebody wants all of it to end: Ctrl-C, or SIGTERM."""


class ChildEnded(RuntimeError):
    """A child ended by itself; the text says which, and its status: an exit code, or a signal's negative number."""


class Supervisor:
    """Keeps children until one of them ends or somebody wants all to; use it with `with`, in the main thread.

    Each child has a session of its own, so that Ctrl-C on the terminal reaches the supervisor alone. From `with` to
    `wait`, a signal raises Stopped and a child's end ChildEnded wherever the caller is. At the end of `with` every
    process below this one is ended, after `stop_within` s the hard way; a second signal then hastens it.
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
        # While it stops nothing may be raised: the rest would be left running.
        if not self._stopping:
            raise Stopped(signal.Signals(number).name)
        self._kill_now = True

    def _on_end(self, _number: int, _frame: FrameType | None) -> None:
        # Whoever waits for a child to be ready would wait in vain for one that has ended.
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
        """Start a child; with `ready`, wait for that line and return it, else return "".

        Raises ChildEnded when it or an earlier one ends before, RuntimeError when it can no longer say so.
        """
        process = subprocess.Popen(
            bound_to_parent(child.argv),
            env={**(os.environ if child.trusted else plain(os.environ)), **child.environment},
            stdin=subprocess.DEVNULL,
            # What children say belongs to the log; standard output is the supervisor's own.
            stdout=subprocess.PIPE if child.ready else sys.stderr.fileno(),
            start_new_session=True,
        )
        self._running.append((child, process))
        self._check_children()  # it may have ended before it was in the list
        if child.ready is None:
            return ""
        assert process.stdout is not None  # noqa: S101 -- it is a pipe
        found: SimpleQueue[str | None] = SimpleQueue()
        # A thread from the start, so that the last words of one that ends too early are told as well.
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
        """Wait until a child ends by itself, which is a failure: say which, and return 1; raises Stopped."""
        try:
            self._starting = False  # waitpid tells of every end from here on
            self._check_children()
            while True:
                pid, status = os.waitpid(-1, 0)  # adopted orphans too
                for _, process in self._running:
                    if process.pid == pid:
                        process.returncode = os.waitstatus_to_exitcode(status)
                self._check_children()
        except ChildEnded as ended:
            print(f"{ended}; stopping the rest", file=sys.stderr)
            return 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stopping, self._starting = True, False
        deadline = time.monotonic() + self._stop_within
        for child, process in reversed(self._running):
            self._stop(process, min(deadline, time.monotonic() + child.stop_timeout))
        if self._kill_now:
            print("stopping at once", file=sys.stderr)
        self._kill_the_rest()
        for reader in self._readers:
            reader.join(_KILL_WITHIN)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _stop(self, process: subprocess.Popen[bytes], until: float) -> None:
        process.terminate()
        # Looked at, not waited for: a second Ctrl-C must be able to end this without an exception.
        while process.poll() is None and time.monotonic() < until and not self._kill_now:
            time.sleep(0.01)
        process.kill()
        process.wait()

    def _kill_the_rest(self) -> None:
        # Adopted by us as soon as its parent went: what a child left, in whatever session.
        deadline = time.monotonic() + _KILL_WITHIN
        while left := descendants(os.getpid()):
            if time.monotonic() > deadline:
                print(f"these processes cannot be ended: {left}", file=sys.stderr)
                break
            send(signal.SIGKILL, left)
            time.sleep(0.01)
        # Every child is ended; one that nobody waits for would stay in the table where init does not care for it.
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _forward(stream: IO[bytes], ready: bytes, found: SimpleQueue[str | None]) -> None:
    """Copy a child's standard output to our standard error, all but the first line that begins with `ready`."""
    waiting = True
    with stream:
        for line in stream:
            if waiting and line.startswith(ready):
                waiting = False
                found.put(line.decode(errors="replace").strip())
                continue
            # Read on even when nobody listens to us any more: the child must not block.
            with suppress(OSError):
                sys.stderr.buffer.write(line)
                sys.stderr.buffer.flush()
    found.put(None)
