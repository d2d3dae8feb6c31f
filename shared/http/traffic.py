"""Count the HTTP requests of a process, and add the counts to the store once a second."""

import asyncio
import os
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress

import redis.asyncio
from redis.exceptions import RedisError

from shared.store.fleet import counters

# Upper bounds of the histogram, s. Requests with `wait` take up to 25.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 30)
_BUCKET_NAMES = (*(f"{bound:g}" for bound in BUCKETS), "+Inf")
_FLUSH_EVERY = 1.0
# A client may send any method, and each would become a time series.
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Traffic:
    """Counts the requests of this process; all its apps share one instance."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._exemplars: dict[str, str] = {}
        self._flushing: asyncio.Task[None] | None = None

    def add(self, method: str, route: str | None, status: int, seconds: float, trace_id: str | None = None) -> None:
        """Count one request; `route` is its pattern, None for an unknown path. A recorded trace is the exemplar."""
        name = f"{method if method in _METHODS else 'other'}|{route or 'none'}"
        bucket = _BUCKET_NAMES[bisect_left(BUCKETS, seconds)]
        self._counts[f"n|{name}|{status}"] += 1
        self._counts[f"b|{name}|{bucket}"] += 1
        self._seconds[f"s|{name}"] += seconds
        if trace_id is not None:
            self._exemplars[f"b|{name}|{bucket}"] = f"{trace_id} {seconds:.6f} {int(time.time() * 1000)}"

    async def flush(self, client: redis.asyncio.Redis) -> None:
        """Add the counts to the store; keep them while the store is unavailable."""
        counts, self._counts = self._counts, Counter()
        seconds, self._seconds = self._seconds, defaultdict(float)
        exemplars, self._exemplars = self._exemplars, {}
        if not counts:
            return
        try:
            await counters.add_http(client, counts, seconds, exemplars)
        except (RedisError, OSError):
            self._counts.update(counts)
            for name, total in seconds.items():
                self._seconds[name] += total

    async def flush_soon(self, client: Callable[[], redis.asyncio.Redis]) -> None:
        """Schedule a flush within a second. In Lambda flush at once, because Lambda freezes background tasks."""
        if self._flushing is not None and not self._flushing.done():
            return
        if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
            await self.flush(client())
        else:
            self._flushing = asyncio.create_task(self._flush_later(client))

    async def _flush_later(self, client: Callable[[], redis.asyncio.Redis]) -> None:
        await asyncio.sleep(_FLUSH_EVERY)
        await self.flush(client())

    async def close(self, client: redis.asyncio.Redis) -> None:
        """Flush the remaining counts at the end of the process."""
        await self.stop()
        await self.flush(client)

    async def stop(self) -> None:
        """Cancel the flush that is scheduled: it would connect again after the clients of its loop have been closed."""
        if self._flushing is not None:
            self._flushing.cancel()
            with suppress(asyncio.CancelledError):
                await self._flushing


traffic = Traffic()
