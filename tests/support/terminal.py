"""The command line on a terminal, as a person sees it."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.measured import COVERAGE

COMMAND = str(Path(sys.executable).parent / "claude-gateway")


def environment(url: str, **variables: str) -> dict[str, str]:
    """Return the environment of a command that uses the gateway at that URL."""
    fixed = {"PATH": os.environ["PATH"], "TERM": "xterm", "COLUMNS": "150", "CLAUDE_GATEWAY_URL": url}
    return {**fixed, **COVERAGE, **variables}


class Terminal:
    """A command on a pseudoterminal; runs within a `with` block."""

    def __init__(self, folder: Path, url: str, *arguments: str, **variables: str) -> None:
        self.shown = ""
        self._master, slave = os.openpty()
        self._process = subprocess.Popen(
            [COMMAND, *arguments],
            cwd=folder,
            env=environment(url, **variables),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def until(self, text: str, timeout: float = 30) -> None:
        """Wait until a text has been shown; AssertionError after `timeout` seconds or at the end of the command."""
        deadline = time.monotonic() + timeout
        while text not in self.shown:
            assert self._read(deadline - time.monotonic()), f"{text!r} was not shown: {self.shown}"

    def end(self, timeout: float = 30) -> int:
        """Wait for the end of the command and return its exit status."""
        deadline = time.monotonic() + timeout
        while self._read(deadline - time.monotonic()):
            pass
        return self._process.wait(max(0.1, deadline - time.monotonic()))

    def signal(self, number: int = signal.SIGINT) -> None:
        """Send a signal; a terminal sends SIGINT at Ctrl-C."""
        self._process.send_signal(number)

    def type(self, text: str) -> None:
        """Type on the keyboard."""
        os.write(self._master, text.encode())

    def _read(self, timeout: float) -> bool:
        """Read the next output; False at the end of the command and after a timeout."""
        if timeout <= 0 or not select.select([self._master], [], [], timeout)[0]:
            return False
        try:
            found = os.read(self._master, 4096)
        except OSError:  # how Linux reports the end
            found = b""
        self.shown += found.decode(errors="replace")
        return bool(found)
