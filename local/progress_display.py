"""Shows a job's progress on standard error: state, position in the queue, reason for waiting, elapsed time.

A thread polls the gateway, because the command itself may block on an event stream without events.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from local.client import Body, Client, CommandError
from local.job_text import reason_of, state_of
from local.output import is_terminal, print_message
from local.paths import job_path

# s before the first poll, since most jobs start immediately; and between polls.
_FIRST_POLL, _ON_TERMINAL, _ELSEWHERE = 0.5, 1.0, 5.0
_POLL_TIMEOUT = 10.0
_NO_RESPONSE = "the gateway does not respond"


class ProgressDisplay:
    """Shows a job's progress on a terminal; elsewhere prints one line for each reason for waiting."""

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        # A terminal that cannot erase a line is treated as a file.
        self._is_terminal = is_terminal(sys.stderr) and os.environ.get("TERM") not in {"dumb", "unknown"}
        self._over = threading.Event()
        self._display: Progress | None = None
        self._text, self._done = "connecting", 0
        self._health: Body = {}
        self._printed = ""
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.show()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over.set()
        self.hide()

    def watch(self, job_id: str) -> None:
        """Start polling the job and the gateway's health."""
        # Not joined at the end, because it may be waiting for a response.
        threading.Thread(target=self._poll, args=(job_id,), daemon=True).start()

    def show(self) -> None:
        """Show the display, if standard error is a terminal."""
        with self._lock:
            if not self._is_terminal or self._display is not None or self._over.is_set():
                return
            console = Console(stderr=True)
            self._display = Progress(
                SpinnerColumn("dots" if console.encoding.startswith("utf") else "line"),
                TimeElapsedColumn(),
                TaskProgressColumn(),
                TextColumn("{task.description}", markup=False),
                console=console,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._display.add_task(self._text, total=100, completed=self._done)
            self._display.tasks[0].start_time = self._began
            self._display.start()

    def hide(self) -> None:
        """Erase the display, so that the answer can be printed."""
        with self._lock:
            display, self._display = self._display, None
            if display is not None:
                display.stop()

    def note(self, status: Body, health: Body | None = None) -> None:
        """Show a status body, with the reason for waiting from the latest health."""
        self._health = self._health if health is None else health
        progress = status.get("progress")
        self._update(state_of(status, self._health), progress if isinstance(progress, int) else None)

    def _update(self, text: str, done: int | None = None) -> None:
        with self._lock:
            self._text, self._done = text, self._done if done is None else done
            if self._display is not None:
                self._display.update(self._display.task_ids[0], description=self._text, completed=self._done)

    def _poll(self, job_id: str) -> None:
        with self._connect() as client:
            pause = _FIRST_POLL
            while not self._over.wait(pause):
                pause = _ON_TERMINAL if self._is_terminal else _ELSEWHERE
                if self._is_terminal and self._display is None:
                    continue
                try:
                    status, _ = client.send("GET", job_path(job_id), timeout=_POLL_TIMEOUT)
                    health = client.health() if status.get("state") in {"waiting", "delayed"} else {}
                except CommandError:
                    self._update(_NO_RESPONSE)
                    continue
                self.note(status, health)
                self._print_once(job_id, reason_of(status, health))

    def _print_once(self, job_id: str, reason: str) -> None:
        if reason and reason != self._printed and not self._is_terminal and not self._over.is_set():
            self._printed = reason
            print_message(f"job {job_id} is waiting: {reason}")
