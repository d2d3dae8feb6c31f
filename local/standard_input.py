"""Reads the text of a query from an argument, standard input, or both.

With an argument, standard input is read if it is a pipe, a socket or a regular file. Under cron, ssh or CI it can be a
pipe that is never written to, so the first byte must arrive within a few seconds; then it is read to its end.
"""

import os
import select
import stat
import sys
import time

from local.client import CommandError
from local.output import print_message

FIRST_BYTE_WITHIN = 10.0  # s
MOST_BYTES = 64 * 1024 * 1024
_NOTICE_AFTER = 1.0  # s; most pipes have data immediately
_CHUNK = 1 << 16


def query_text(query: str, *, append: bool | None) -> str:
    """Return the query's text; `-` means standard input only.

    Standard input is appended after an empty line. With `append` False it is not read, with True it is read without a
    time limit, and with None the first byte must arrive within FIRST_BYTE_WITHIN. Raises CommandError for text that is
    not UTF-8 or too long.
    """
    if query == "-":
        return _utf8(_read_all(_descriptor()), "standard input")
    # Python decodes an argument that is not UTF-8 with lone surrogates.
    _utf8(query.encode("utf-8", "surrogatepass"), "the query")
    more = b"" if append is False else _appended(must_wait=append is True)
    return f"{query}\n\n{_utf8(more, 'standard input')}" if more else query


def _appended(*, must_wait: bool) -> bytes:
    """Return the part of a query from standard input."""
    try:
        descriptor = _descriptor()
        mode = os.fstat(descriptor).st_mode
    except (CommandError, OSError):
        return b""
    if must_wait or stat.S_ISREG(mode):
        return _read_all(descriptor)
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return b""
    return _read_all(descriptor) if _arrives_in_time(descriptor) else b""


def _arrives_in_time(descriptor: int) -> bool:
    """Wait for the first byte or the end of a pipe, and return whether it came in time."""
    deadline = time.monotonic() + FIRST_BYTE_WITHIN
    if select.select([descriptor], [], [], min(_NOTICE_AFTER, FIRST_BYTE_WITHIN))[0]:
        return True
    print_message("waiting for standard input, which is a pipe (ignore it with --no-stdin or `< /dev/null`)")
    if select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
        return True
    print_message(
        f"no data on standard input within {FIRST_BYTE_WITHIN:g} s: the query is sent without it (--stdin waits longer)"
    )
    return False


def _descriptor() -> int:
    """Return the descriptor of standard input. Raises CommandError if it is closed."""
    try:
        return sys.stdin.fileno() if sys.stdin is not None else _none()
    except (OSError, ValueError):
        return _none()


def _none() -> int:
    raise CommandError("standard input is closed")


def _read_all(descriptor: int) -> bytes:
    """Read to the end. Raises CommandError if reading fails or the input is too long for any gateway."""
    found = bytearray()
    try:
        while chunk := os.read(descriptor, _CHUNK):
            found += chunk
            if len(found) > MOST_BYTES:
                raise CommandError(f"standard input exceeds {MOST_BYTES} bytes, the maximum for any query")
    except OSError as error:
        raise CommandError(f"standard input cannot be read: {error.strerror}") from None
    return bytes(found)


def _utf8(text: bytes, what: str) -> str:
    try:
        return text.decode()
    except UnicodeError:
        raise CommandError(f"{what} is not UTF-8") from None
