"""The time limit for following a job."""

import math
import time
from collections.abc import Callable

from local.client import CommandError


class OutOfTime(CommandError):
    """The time limit is exceeded; the job continues."""


class Deadline:
    """The time at which a command stops following a job. `sleep` and `clock` are for tests."""

    def __init__(
        self,
        timeout: float | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if timeout is not None and not timeout > 0:
            raise CommandError(f"--timeout should be more than 0 seconds (it is {timeout:g})")
        self._timeout = math.inf if timeout is None else timeout
        self._sleep, self.now = sleep, clock
        self._at = clock() + self._timeout

    def left(self) -> float:
        """Return the seconds that are left. Raises OutOfTime if there are none."""
        left = self._at - self.now()
        if left <= 0:
            raise OutOfTime(f"stopped following after {self._timeout:g} s; the job continues")
        return left

    def sleep(self, seconds: float) -> None:
        """Sleep, but not beyond the deadline."""
        self._sleep(min(seconds, self.left()))
