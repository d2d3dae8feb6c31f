"""Jobs whose client waits for the answer on its connection, and that are cancelled when the client leaves."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

from redis.exceptions import RedisError

from shared.api.compat_queries import CompatQuery
from shared.api.errors import AnswerFailed, GatewayError, NotFound
from shared.configuration.settings import StatusSettings, SubmitSettings
from shared.logs import event
from shared.services import submitting
from shared.services.following import Clock, Update, subscribe
from shared.store.jobs import events
from shared.store.jobs.records import StoredJob

log = logging.getLogger("live")

# The time limit of an HTTP response in Lambda, s: API Gateway ends a request after 30 s.
LAMBDA_SECONDS = 25.0
NO_STREAM = "not supported in Lambda, which buffers responses; remove it"
# The job is read at least this often, in case that a notification is lost; s.
_READ_EVERY = 30.0
# Cancellations in progress: the event loop itself holds tasks weakly.
_cancellations: set[asyncio.Task[None]] = set()


def in_lambda() -> bool:
    """Return whether this process is a Lambda function, which buffers its responses."""
    return "AWS_LAMBDA_FUNCTION_NAME" in os.environ


@dataclass(slots=True)
class LiveJob:
    """A submitted job; with `keeps_running` it outlives its connection."""

    job_id: str
    caller: str
    headers: dict[str, str]
    settings: SubmitSettings
    keeps_running: bool = False
    over: bool = field(default=False, init=False)

    async def end(self) -> StoredJob:
        """Return the completed job; raises AnswerFailed with its error, or after the time limit of Lambda."""
        deadline = time.monotonic() + LAMBDA_SECONDS if in_lambda() else None
        while True:
            wait = _READ_EVERY if deadline is None else min(_READ_EVERY, deadline - time.monotonic())
            job = await submitting.at_end(self.job_id, wait, caller=self.caller, settings=self.settings)
            if job is None or job.ended:
                return self.completed(job)
            if deadline is not None and time.monotonic() >= deadline:
                raise AnswerFailed(
                    f"No answer within the {LAMBDA_SECONDS:.0f} s of a request in Lambda; submit it with "
                    '"background": true to POST /v1/responses, or to POST /api/query',
                    "timeout",
                )

    def completed(self, job: StoredJob | None) -> StoredJob:
        """Return a job that has completed; raises AnswerFailed for any other end."""
        self.over = True
        if job is None:
            raise NotFound("The job has been deleted")
        if job.result is None:
            raise_failure(job)
        return job

    async def updates(self, settings: StatusSettings, clock: Clock) -> AsyncIterator[Update | None]:
        """Yield the job's events from its first; None after every 10 s of silence."""
        async for update in subscribe(self.job_id, events.FIRST, self.caller, settings, clock):
            yield update

    async def leave(self) -> None:
        """Cancel the job unless it is over: nobody is left to read its answer. Completes even when cancelled."""
        if not (self.over or self.keeps_running):
            self.over = True
            task = asyncio.create_task(self._cancel())
            _cancellations.add(task)
            task.add_done_callback(_cancellations.discard)
            # Lambda stops the process after the response.
            await asyncio.shield(task)

    async def _cancel(self) -> None:
        with suppress(GatewayError):  # it has ended, or is deleted
            try:
                await submitting.cancel(self.job_id, caller=self.caller, settings=self.settings)
            except RedisError as error:
                event(log, "job_not_cancelled", logging.WARNING, job_id=self.job_id, error=type(error).__name__)


def raise_failure(job: StoredJob) -> NoReturn:
    """Raise the failure of a job that ended without a result."""
    if job.error is None:
        raise AnswerFailed("The job was cancelled", "cancelled")
    raise AnswerFailed(job.error["message"], job.error["code"], retryable=job.error["retryable"])


async def submit(
    query: CompatQuery,
    *,
    request_id: str,
    caller: str,
    idempotency_key: str | None,
    settings: SubmitSettings,
    body: Any = None,
) -> LiveJob:
    """Submit a query whose client waits; raises the errors of a submission.

    With an Idempotency-Key the job outlives its connection, so that the client can send the request again.
    """
    done = await submitting.submit(
        query, request_id=request_id, caller=caller, idempotency_key=idempotency_key, settings=settings, body=body
    )
    replayed = {"Idempotent-Replayed": "true"} if done.answer.replayed else {}
    headers = {**done.rate_headers, **replayed}
    return LiveJob(done.answer.job_id, caller, headers, settings, keeps_running=idempotency_key is not None)
