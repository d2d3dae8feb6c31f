"""Output of the commands: standard output, messages on standard error, and exit statuses.

A failed write to standard output ends the command with a one-line message instead of a traceback.
"""

import errno
import io
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

OK, FAILED, UNUSABLE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # C0 but for \t and \n, DEL, C1, lone surrogates


class OutputFailed(Exception):
    """Standard output cannot be written."""

    def __str__(self) -> str:
        return f"standard output cannot be written: {self.args[0]}"


class _Checked(io.FileIO):
    """A file descriptor whose first failed write raises OutputFailed.

    Later writes are dropped: Python flushes once more at exit, and would print a traceback.
    """

    _has_failed = False

    def write(self, data: Any, /) -> int:
        """Write as much as the kernel accepts. Raises OutputFailed once."""
        if self._has_failed:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except OSError as error:
            self._has_failed = True
            raise OutputFailed(os.strerror(error.errno or errno.EIO)) from None


@contextmanager
def checked_output() -> Iterator[None]:
    """Check every write to standard output in the block, and the final flush; exit with status 2 if one fails."""
    if sys.stdout is None:
        print_message(str(OutputFailed("it is closed")))
        sys.exit(UNUSABLE)
    sys.stdout.flush()
    sys.stdout = _checked(sys.stdout)
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OutputFailed as error:
        print_message(str(error))
        sys.exit(UNUSABLE)


def _checked(stream: TextIO) -> TextIO:
    """Return a stream on the same descriptor: a terminal keeps its encoding, everything else gets UTF-8."""
    is_terminal = stream.isatty()
    return io.TextIOWrapper(
        io.BufferedWriter(_Checked(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding if is_terminal else "utf-8",
        # Characters that a terminal cannot encode are escaped; in UTF-8, only lone surrogates are replaced.
        errors="backslashreplace" if is_terminal else "replace",
        newline="\n",
        line_buffering=is_terminal,
    )


def visible(text: str) -> str:
    """Escape control characters, which could move a terminal's cursor or inject input."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def print_message(message: str) -> None:
    """Print a message to standard error, if it is open, with control characters escaped."""
    # `print` to a closed standard error would write to standard output.
    if sys.stderr is not None:
        with suppress(OSError):
            print(visible(message), file=sys.stderr, flush=True)


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a standard stream is open and a terminal."""
    return stream is not None and stream.isatty()


def write(text: str) -> None:
    """Write text and a final newline as bytes, without newline translation and independent of the locale."""
    encoding, errors = (sys.stdout.encoding, "backslashreplace") if sys.stdout.isatty() else ("utf-8", "replace")
    line = text if text.endswith("\n") else text + "\n"
    sys.stdout.flush()
    sys.stdout.buffer.write(line.encode(encoding, errors))
    sys.stdout.buffer.flush()


def write_json(body: Any) -> None:
    """Write a JSON document with control characters escaped, on a terminal and in a pipe alike."""
    write(visible(json.dumps(body, ensure_ascii=False, indent=2)))
