"""Reports the requests of a run to Claude while it runs: failures in the log, waits and retries in the store."""

import asyncio
import logging

import redis.asyncio
from redis.exceptions import RedisError

from functions.worker.jobs.attempt_trace import AttemptTrace
from functions.worker.relay.egress import Connection
from functions.worker.relay.run import Failure, ModelRequest, Watcher
from shared.api.steps import Step
from shared.api.vocabulary import ErrorCode
from shared.logs import event
from shared.store.jobs import claims, waiting

log = logging.getLogger("worker.relay")

# The longest time for which a rate limit holds the queue; ms.
_LONGEST_HOLD = 600_000


class UpstreamReport(Watcher):
    """Logs each failed request, and writes the reason why the job waits; `run` writes to the store.

    Requests and tools become spans of the `trace`, if there is one.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        job: claims.ClaimedJob,
        trace: AttemptTrace | None = None,
        *,
        is_on_own_credential: bool = False,
    ) -> None:
        self._client = client
        self._job = job
        self._trace = trace
        # Named here and not by the context of the task: the relay's tasks belong to no job.
        self._ids = {"job_id": job.claim.job_id, "request_id": job.request_id}
        if trace is not None:
            self._ids["trace_id"] = trace.run.trace_id
        self._is_on_own_credential = is_on_own_credential
        self._waiting: waiting.Waiting | waiting.Cloning | None = None
        self._retries: list[waiting.Retry] = []
        self._hold = 0
        self._changed = asyncio.Event()

    def failed(self, failure: Failure) -> None:
        """Log a failed request, without the message, which may quote the query."""
        failed = {"status": failure.status, "type": failure.type, "claude_request_id": failure.request_id}
        event(log, "claude_request_failed", logging.WARNING, **self._ids, **failed, code=failure.code)
        # A limit of the caller's own account concerns no other caller.
        if failure.status == 429 and failure.retry_after and not self._is_on_own_credential:
            self._hold = min(int(failure.retry_after * 1000), _LONGEST_HOLD)

    def requested(self, request: ModelRequest) -> None:
        """Record a request to Claude as a span."""
        if self._trace is not None:
            self._trace.requested(request)

    def step_ended(self, step: Step, began: int) -> None:
        """Record a call of a tool as a span."""
        if self._trace is not None:
            self._trace.step_ended(step, began)

    def retries(self, code: ErrorCode, delay: float, attempt: int) -> None:
        """Publish a pause before a retry."""
        self._retries.append(waiting.Retry(code, int(delay * 1000), attempt))

    def waits(self, why: waiting.Waiting | waiting.Cloning | None) -> None:
        """Write the reason why the job waits; None when it no longer does."""
        self._waiting = why
        self._changed.set()

    def connected(self, connection: Connection) -> None:
        """Log a connection of the run's tools: where to, how it ended and how much passed, never what."""
        place = {"host": connection.host, "port": connection.port}
        ended = {"outcome": connection.outcome, "reason": connection.reason, "ms": connection.milliseconds}
        passed = {"sent": connection.sent, "received": connection.received}
        event(log, "run_connection", logging.INFO, **self._ids, **place, **ended, **passed)

    async def run(self) -> None:
        """Write until cancelled; a write that the store does not accept is dropped."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            retries, self._retries = self._retries, []
            hold, self._hold = self._hold, 0
            try:
                await waiting.note(self._client, self._job.claim, self._waiting, retries, hold)
            except RedisError as error:
                event(log, "waiting_not_written", logging.DEBUG, error=type(error).__name__)
