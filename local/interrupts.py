"""Handling of Ctrl-C and SIGTERM while a command follows a job."""

import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from local.output import is_terminal

CANCEL_WITHIN = 5.0  # s in which a second Ctrl-C cancels the job
_DEFERRED = b"\nwaiting for the job's id; press Ctrl-C again to exit immediately\n"


class Terminated(KeyboardInterrupt):
    """SIGTERM was received."""


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Raise Terminated on SIGTERM, so that the command can report on its job."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Defer an interrupt to the end of the block, in which a job is submitted. A second interrupt is raised at once."""
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        if held:
            _interrupt(number, frame)
        held.append(number)
        # Not through sys.stderr, which is not reentrant in a signal handler.
        if sys.stderr is not None:
            os.write(2, _DEFERRED)

    # A shell starts background commands with SIGINT ignored; keep it ignored.
    numbers = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, hold) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if held:
        _interrupt(held[0], None)


def wait_for_another() -> None:
    """Wait CANCEL_WITHIN s for another Ctrl-C, which raises KeyboardInterrupt; Enter ends the wait."""
    if not is_terminal(sys.stdin):
        time.sleep(CANCEL_WITHIN)
    elif select.select([sys.stdin], [], [], CANCEL_WITHIN)[0]:
        sys.stdin.readline()
