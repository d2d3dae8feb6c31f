"""Ends the processes that a slot leaves behind when it dies; the pool has adopted them.

There may be thousands. A scan of /proc takes 20 µs for each process of the machine, so one scan finds all of them, and
the next follows only when all that it found are gone.
"""

import signal
from collections.abc import Callable

from shared.host import processes

# Processes that one check reaps: a pool that reaps thousands at once does nothing else meanwhile.
_MOST_REAPED = 1000


class Orphans:
    """The processes below the pool that belong to no slot; `excluded` returns the pool's own children."""

    def __init__(self, excluded: Callable[[], set[int]]) -> None:
        self._excluded = excluded
        self._left: list[int] = []

    def end(self) -> None:
        """Kill every one, and note it to be reaped."""
        self._left = processes.below(self._excluded())
        # Stopped first, so that none forks while the others are killed.
        processes.send(signal.SIGSTOP, self._left)
        processes.send(signal.SIGKILL, self._left)

    def check(self) -> None:
        """Reap those that have ended; when none is left, look for those that were forked meanwhile."""
        if self._left:
            first, rest = self._left[:_MOST_REAPED], self._left[_MOST_REAPED:]
            # Those that stay go to the end, so that they delay no other.
            self._left = rest + processes.collect(first)
            if not self._left:
                self.end()

    def finish(self) -> None:
        """Kill those that are left when the pool ends."""
        processes.send(signal.SIGKILL, processes.below(self._excluded()))
