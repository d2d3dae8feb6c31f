"""Sends each line that is typed while a command follows a job to the job, as a message."""

import os
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from local.client import Client, CommandError
from local.output import is_terminal, print_message
from local.paths import job_path

_LOOK_EVERY = 0.2  # s


class Steering:
    """Reads the terminal within a `with` block; reads nothing where standard input is none."""

    def __init__(self, client: Client, job_id: str) -> None:
        self._client, self._job_id = client, job_id
        self._over = threading.Event()
        self._quiet, self._reading = threading.Event(), threading.Lock()
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Self:
        if is_terminal(sys.stdin) and is_terminal(sys.stderr):
            self._reader = threading.Thread(target=self._read, args=(sys.stdin.fileno(),), daemon=True)
            self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        # Joined, so that the Enter after a Ctrl-C is not taken for a message.
        self._over.set()
        if self._reader is not None:
            self._reader.join(2 * _LOOK_EVERY)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Read nothing in the block, in which something else asks the user."""
        self._quiet.set()
        try:
            with self._reading:
                yield
        finally:
            self._quiet.clear()

    def _read(self, terminal: int) -> None:
        while not self._over.is_set():
            if self._quiet.is_set():
                self._over.wait(_LOOK_EVERY)
                continue
            with self._reading:
                if not self._read_line(terminal):
                    return

    def _read_line(self, terminal: int) -> bool:
        """Send what the user has typed; return whether more may come."""
        if not select.select([terminal], [], [], _LOOK_EVERY)[0]:
            return True
        if not _is_in_foreground(terminal):
            self._over.wait(_LOOK_EVERY)
            return True
        # A terminal gives whole lines.
        data = os.read(terminal, 1 << 16)
        for line in data.decode(errors="replace").splitlines():
            if line.strip():
                self._send(line)
        return bool(data)

    def _send(self, text: str) -> None:
        try:
            self._client.send("POST", job_path(self._job_id) + "/messages", {"text": text})
        except CommandError as error:
            print_message(f"The message was not sent: {error}")


def _is_in_foreground(terminal: int) -> bool:
    """Return whether this process may read the terminal: one in the background would be stopped."""
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:  # not the terminal that controls this process
        return True
