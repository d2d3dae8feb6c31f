"""Runs a set of processes as one: started one after another, stopped in reverse, none left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import IO, Self

from functions.worker.processes import adopt_orphans, descendants, send
from local.tied import tied


@dataclass(frozen=True, slots=True)
class Child:
    """A process to run; `ready` begins the line that it prints on standard output when it is; times in s."""

    name: str
    argv: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: str | None = None
    stop_timeout: float = 5.0


class Stopped(Exception):
    """Somebody wants all of it to end: Ctrl-C, or SIGTERM."""


class Supervisor:
    """Keeps children until one of them ends or somebody wants all to; use it with `with`, in the main thread.

    Each child has a session of its own, so that Ctrl-C on the terminal reaches the supervisor alone.
    """

    def __init__(self) -> None:
        self._running: list[tuple[Child, subprocess.Popen[str]]] = []
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> Self:
        adopt_orphans()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, self._on_signal)
        return self

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        raise Stopped(signal.Signals(number).name)

    def start(self, child: Child) -> str:
        """Start a child; with `ready`, wait for that line and return it.

        Raises RuntimeError when it ends before.
        """
        process = subprocess.Popen(
            tied(child.argv),
            env={**os.environ, **child.environment},
            stdin=subprocess.DEVNULL,
            # What children say belongs to the log; standard output is the supervisor's own.
            stdout=subprocess.PIPE if child.ready else sys.stderr.fileno(),
            text=True,
            start_new_session=True,
        )
        self._running.append((child, process))
        if child.ready is None:
            return ""
        assert process.stdout is not None  # noqa: S101 -- it is a pipe
        for line in process.stdout:
            if line.startswith(child.ready):
                threading.Thread(target=_forward, args=(process.stdout,), daemon=True).start()
                return line.strip()
            sys.stderr.write(line)
        raise RuntimeError(f"{child.name} ended with status {process.wait()} before it was ready")

    def wait(self) -> int:
        """Wait until a child ends by itself, which is a failure: say which, and return 1; raises Stopped."""
        while True:
            pid, status = os.waitpid(-1, 0)  # adopted orphans too
            for child, process in self._running:
                if process.pid == pid:
                    process.returncode = os.waitstatus_to_exitcode(status)
                    print(f"{child.name} ended with status {process.returncode}; stopping the rest", file=sys.stderr)
                    return 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            for child, process in reversed(self._running):
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(child.stop_timeout)
        except Stopped:
            print("stopping at once", file=sys.stderr)  # asked for a second time
        finally:
            for number in self._handlers:
                signal.signal(number, signal.SIG_IGN)
            self._kill_the_rest()
            for number, handler in self._handlers.items():
                signal.signal(number, handler)  # type: ignore[arg-type]

    def _kill_the_rest(self) -> None:
        for _, process in self._running:
            process.kill()
            process.wait()
        # Adopted by us as soon as its parent went: what a child left, in whatever session.
        while left := descendants(os.getpid()):
            send(signal.SIGKILL, left)
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            time.sleep(0.01)


def _forward(stream: IO[str]) -> None:
    with stream:
        for line in stream:
            sys.stderr.write(line)
