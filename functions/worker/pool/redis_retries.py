"""How long blocking calls to Redis last: retried once while the process runs, given up at once while it stops."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

T = TypeVar("T")


class Patience(Retry):
    """The retry policy of all connections of one client.

    After `end`, the first failure makes every later call fail without being sent, and so does the deadline. A process
    that stops therefore waits for at most one reply, whatever the state of Redis.
    """

    def __init__(self) -> None:
        super().__init__(ExponentialBackoff(cap=0.05, base=0.01), 1)
        self._deadline: float | None = None
        self._failed = False

    def __deepcopy__(self, _memo: dict[int, Any]) -> "Patience":
        # redis-py copies the policy for each connection; a stop must reach all of them.
        return self

    def end(self, within: float) -> None:
        """Allow no retry from now on, and no call after `within` seconds; may be called from a signal handler."""
        self._deadline = time.monotonic() + within

    def give_up(self) -> None:
        """Send nothing more after `end`: Redis has failed somewhere else."""
        self._failed = True

    def try_again(self) -> None:
        """Forget the failures so far, for one more try before the deadline."""
        self._failed = False

    def call_with_retry(self, do: Callable[[], T], fail: Callable[..., Any], *options: Any, **named_options: Any) -> T:
        """Call `do`, and again after a failure unless the process stops; raise what it raised."""
        if self._deadline is not None and (self._failed or time.monotonic() >= self._deadline):
            raise RedisConnectionError("Not sent: the process stops, and Redis does not answer")

        def failed(error: Exception, *count: int) -> None:
            fail(error, *count)
            if self._deadline is not None:
                self._failed = True
                raise error

        return super().call_with_retry(do, failed, *options, **named_options)
