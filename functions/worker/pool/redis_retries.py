"""Retry policy of blocking calls to Redis: one retry while the process runs, none while it stops."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

T = TypeVar("T")


class Patience(Retry):
    """The retry policy of all connections of one client.

    After `end`, every call fails without being sent once a call has failed or the deadline has passed. A process that
    stops therefore waits for at most one reply, whatever the state of Redis.
    """

    def __init__(self) -> None:
        super().__init__(ExponentialBackoff(cap=0.05, base=0.01), 1)
        self._deadline: float | None = None
        self._failed = False

    def __deepcopy__(self, _memo: dict[int, Any]) -> "Patience":
        # redis-py copies the policy for each connection; a stop must reach all of them.
        return self

    def end(self, within: float) -> None:
        """Allow no retry from now on, and no call after `within` seconds; safe in a signal handler."""
        self._deadline = time.monotonic() + within

    def give_up(self) -> None:
        """Send nothing more after `end`, since Redis has failed elsewhere."""
        self._failed = True

    def try_again(self) -> None:
        """Forget earlier failures, for one more call before the deadline."""
        self._failed = False

    def call_with_retry(self, do: Callable[[], T], fail: Callable[..., Any], *options: Any, **named_options: Any) -> T:
        """Call `do`, and once more after a failure unless the process stops; raise its error."""
        if self._deadline is not None and (self._failed or time.monotonic() >= self._deadline):
            raise RedisConnectionError("Not sent: the process stops, and Redis does not answer")

        def failed(error: Exception, *count: int) -> None:
            fail(error, *count)
            if self._deadline is not None:
                self._failed = True
                raise error

        return super().call_with_retry(do, failed, *options, **named_options)
