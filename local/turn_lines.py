"""Log lines of the API: those of one turn of the event loop leave in one write."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class TurnHandler(logging.Handler):
    """Writes lines at the end of the loop's turn in which they are logged.

    Warnings, errors and the lines of other threads are written at once, after those that wait. Only what ends the
    process without Python's own shutdown, such as SIGKILL, loses the lines of its last turn.
    """

    def __init__(self, stream: TextIO, loop: asyncio.AbstractEventLoop) -> None:
        """Write to a stream; call from the thread of the loop."""
        super().__init__()
        self._stream, self._loop, self._thread = stream, loop, threading.get_ident()
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line until the end of the turn, or write it."""
        try:
            self._lines.append(f"{self.format(record)}\n")
            if record.levelno > logging.INFO or threading.get_ident() != self._thread:
                self.flush()
            elif len(self._lines) == 1:
                self._loop.call_soon(self.flush)
        except Exception:  # noqa: BLE001 -- as every handler of `logging`: a line that fails does not fail a request
            self.handleError(record)

    def flush(self) -> None:
        """Write the lines that wait; `logging` calls this too at the end of the process."""
        self.acquire()
        try:
            lines, self._lines = self._lines, []
            if lines:
                self._stream.write("".join(lines))
                self._stream.flush()
        finally:
            self.release()


@contextmanager
def one_write_a_turn(handler: logging.StreamHandler[TextIO]) -> Iterator[None]:
    """Take the place of the root logger's handler while the running loop serves requests."""
    root = logging.getLogger()
    of_turns = TurnHandler(handler.stream, asyncio.get_running_loop())
    of_turns.setFormatter(handler.formatter)
    root.addHandler(of_turns)
    root.removeHandler(handler)
    try:
        yield
    finally:
        # Nothing waits for a turn that may not come.
        root.addHandler(handler)
        root.removeHandler(of_turns)
        of_turns.flush()
        of_turns.close()
