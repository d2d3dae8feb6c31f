"""What operators and clients learn of a run's requests to Claude while it goes on."""

import asyncio
import logging

import redis.asyncio
from redis.exceptions import RedisError

from functions.worker.relay.run import Failure, Watcher
from shared.api.vocabulary import ErrorCode
from shared.logs import event
from shared.store.jobs import claims, waiting

log = logging.getLogger("worker.relay")

# Claude is left alone by all slots for so long at most; ms.
_LONGEST_HOLD = 600_000


class UpstreamReport(Watcher):
    """Logs each failed request, and writes why the job waits to the store; `run` does the writing."""

    def __init__(self, client: redis.asyncio.Redis, job: claims.ClaimedJob) -> None:
        self._client = client
        self._job = job
        self._waiting: waiting.Waiting | None = None
        self._retries: list[waiting.Retry] = []
        self._hold = 0
        self._changed = asyncio.Event()

    def failed(self, failure: Failure) -> None:
        """Log a failed request, without the message, which may quote the query."""
        shown = {"status": failure.status, "type": failure.type, "claude_request_id": failure.request_id}
        ids = {"job_id": self._job.claim.job_id, "request_id": self._job.request_id}
        event(log, "claude_request_failed", logging.WARNING, **ids, **shown, code=failure.code)
        if failure.status == 429 and failure.retry_after:
            self._hold = min(int(failure.retry_after * 1000), _LONGEST_HOLD)

    def retries(self, code: ErrorCode, delay: float, attempt: int) -> None:
        """Publish a pause."""
        self._retries.append(waiting.Retry(code, int(delay * 1000), attempt))

    def waits(self, why: waiting.Waiting | None) -> None:
        """Write why the job waits."""
        self._waiting = why
        self._changed.set()

    async def run(self) -> None:
        """Write until cancelled. What a store that is away does not take is left out."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            retries, self._retries = self._retries, []
            hold, self._hold = self._hold, 0
            try:
                await waiting.note(self._client, self._job.claim, self._waiting, retries, hold)
            except RedisError as error:
                event(log, "waiting_not_written", logging.DEBUG, error=type(error).__name__)
