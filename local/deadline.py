"""How long a command follows a job."""

import math
import time
from collections.abc import Callable

from local.client import CommandError


class OutOfTime(CommandError):
    """The command gives up; its job goes on."""


class Deadline:
    """The end of a command's patience; `sleep` and `clock` are replaced by tests."""

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
        """Return the seconds that are left; raises CommandError when there are none."""
        left = self._at - self.now()
        if left <= 0:
            raise OutOfTime(f"gave up after {self._timeout:g} s, while the job goes on")
        return left

    def sleep(self, seconds: float) -> None:
        """Sleep, at most to the end."""
        self._sleep(min(seconds, self.left()))
