"""Ctrl-C and SIGTERM while a command follows a job."""

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

CANCEL_WITHIN = 5.0  # s for the second Ctrl-C
_DEFERRED = b"\nwaiting for the gateway to name the job; Ctrl-C again gives up at once\n"


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Raise Terminated on SIGTERM, so that the command can say what becomes of its job."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Hold an interrupt back until the block ends, so that the job that it submits is known; a second one is raised."""
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        if held:
            _interrupt(number, frame)
        held.append(number)
        # Not through sys.stderr, inside whose own code a signal can arrive.
        if sys.stderr is not None:
            os.write(2, _DEFERRED)

    # A shell starts a background command with SIGINT ignored, and it stays so.
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
    """Wait CANCEL_WITHIN for another Ctrl-C, which is raised; Enter ends the wait."""
    if not is_terminal(sys.stdin):
        time.sleep(CANCEL_WITHIN)
    elif select.select([sys.stdin], [], [], CANCEL_WITHIN)[0]:
        sys.stdin.readline()
