"""RQ's queue and job as the gateway uses them: one sorted set with priorities, and one function that may run."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import redis
from rq import Queue
from rq.defaults import RQ_KEY_PREFIX
from rq.exceptions import DequeueTimeout, StopRequested
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job
from rq.timeouts import BaseDeathPenalty
from rq.utils import now, utcformat

from shared.logs import event
from shared.store import keys
from shared.store.redis import failures, scripts

log = logging.getLogger("worker.queue")

NAME = "claude"
FUNCTION = "functions.worker.run_claim"
# Between the pop and the claim lie milliseconds; a slot that has died there is noticed after this, in ms.
_UNCLAIMED = 10_000
# What RQ knows of a claim's length; time is ours, so it only has to be longer than any run, in s.
_RQ_TIMEOUT = 86_400
# The fields of an RQ job that we write. Callbacks, webhooks, dependencies and retries are not among them.
_FIELDS = {
    b"data", b"origin", b"status", b"created_at", b"enqueued_at", b"started_at", b"ended_at", b"timeout",
    b"result_ttl", b"failure_ttl", b"description", b"last_heartbeat", b"worker_name",
}  # fmt: skip


@contextmanager
def _refusals_are_waited_out() -> Iterator[None]:
    """Turn a refusal, as of a Redis whose disk is full, into the error for which RQ waits and tries again."""
    try:
        yield
    except redis.ResponseError as error:
        if failures.classify(error) is None:
            raise
        raise redis.ConnectionError("Redis refuses the command") from error


class NoDeathPenalty(BaseDeathPenalty):
    """RQ never ends a run: time is ours."""

    def setup_death_penalty(self) -> None:
        """Set nothing up."""

    def cancel_death_penalty(self) -> None:
        """Cancel nothing."""


class ClaimJob(Job):
    """An RQ job that is one claim; whatever else stands in its hash, nothing but our function runs."""

    run_claim: Callable[[str], None] | None = None

    def restore(self, raw_data: dict[bytes, bytes]) -> Any:
        """Read only the fields that we write, so that no callback or webhook can be slipped in."""
        return super().restore({name: value for name, value in raw_data.items() if name in _FIELDS})

    def _execute(self) -> None:
        # The names are compared, and never looked up: a crafted hash must not choose what is imported.
        if self.func_name != FUNCTION or list(self.args) != [self.id] or self.kwargs or self.run_claim is None:
            event(log, "job_refused", logging.ERROR, rq_job=self.id)
            raise PermissionError("this worker runs claims and nothing else")
        self.run_claim(self.id)


class ClaimQueue(Queue):
    """The queue of waiting jobs: strict priorities, first in first out within one.

    RQ's list does not exist. Its intermediate list does, and holds the claims that have been popped.
    """

    job_class = ClaimJob
    stopping = threading.Event()

    @classmethod
    def dequeue_any(cls, *args: Any, **options: Any) -> Any:
        """Wait for a job; raise StopRequested when a stop is, also while Redis fails before anything is popped."""
        if cls.stopping.is_set():
            raise StopRequested
        return super().dequeue_any(*args, **options)

    @classmethod
    def lmove(cls, connection: redis.Redis, queue_key: str, timeout: int | None) -> tuple[str, bytes] | None:
        """Pop the next job as a claim; with a timeout wait so many seconds for one, then raise DequeueTimeout."""
        for _ in range(timeout or 1):
            if cls.stopping.is_set():
                raise StopRequested
            with _refusals_are_waited_out():
                claim = scripts.run_sync(
                    connection,
                    "pop",
                    IntermediateQueue.get_intermediate_queue_key(queue_key),
                    f"{RQ_KEY_PREFIX}:job:",
                    NAME,
                    FUNCTION,
                    _UNCLAIMED,
                    _RQ_TIMEOUT,
                    utcformat(now()),
                )
                if claim is not None:
                    return queue_key, claim
                if timeout is None:
                    return None
                # A token is a hint and no more: what it stands for may have been taken, or may wait without one.
                connection.blpop([keys.WAKE], 1)
        raise DequeueTimeout(timeout, queue_key)

    @property
    def count(self) -> int:
        """How many jobs wait."""
        return int(self.connection.zcard(keys.WAITING))

    def get_job_ids(self, offset: int = 0, length: int = -1) -> list[str]:
        """List ids of waiting jobs, in the order in which they will start."""
        end = offset + length - 1 if length >= 0 else -1
        names = cast("list[bytes]", self.connection.zrange(keys.WAITING, offset, end))
        return [name.decode() for name in names]

    def push_job_id(self, job_id: str, pipeline: Any = None, at_front: bool = False) -> None:
        """Refuse: jobs come by the submit script alone, never through RQ."""
        raise NotImplementedError(f"RQ may not enqueue {job_id}")

    def remove(self, job_or_id: Any, pipeline: Any = None) -> None:
        """Do nothing: a claim is on no list that RQ could take it from."""
