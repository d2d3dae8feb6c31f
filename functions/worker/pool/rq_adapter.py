"""Everything that the gateway uses of RQ. No other module imports `rq`; `tests/contract/test_rq.py` holds that.

| What RQ does | What we do instead | Why |
|---|---|---|
| `work()`: signal handlers, the loop of pop and execute, registration | RQ's own, in `RqWorker` | it is what people who know RQ expect, and `rq info` shows these workers |
| a list of job ids, moved to an intermediate list by BLMOVE | a sorted set, popped by `pop.lua`, which leases the job (`shared/store/jobs/queue.py`) | priorities, constant-time position and cancellation; a lost job is rescued after 10 s instead of 61 s |
| a hash for each job, with the function, its arguments and callbacks | the claim's id alone; the job object lives in the process | a crafted hash made RQ run `os.system`; nothing in Redis names code any more |
| executions, registries, results, dependents: about 55 commands a job | nothing; the outcome is one transaction of the store | nothing of ours reads them |
| heartbeats of worker and job by the loop, none while a `SimpleWorker` runs a job | the slot's heartbeat, and `rq_view.lua` once a second | a worker that runs a long job must not expire, and a killed one must not stay for a day |
| maintenance that fails abandoned jobs | the rescuer, by leases | it notices a killed worker after 813 s by default |
| job timeouts by signals or threads | one clock over all attempts (`functions/worker/jobs`) | RQ's signal could interrupt the transaction that records the outcome |
| a stop signal raises `StopRequested` out of whatever runs | a flag that the loop reads | it could raise between a pop and its claim |
| `rq suspend`, and commands over a channel | pausing by the admin API | `rq suspend` cannot be seen by `/health` and the dashboard |
| connections: retry for ever, end at a refusal such as READONLY | wait and connect again, also after a refusal | a failover must not end the slots |
| `WorkerPool` | `functions/worker/pool/pool.py` | its slots are forked from threads, get SIGINT, start a scheduler, and restart without a back-off |
"""  # noqa: E501 -- a table

import logging
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Any

import redis
from rq import Queue, SimpleWorker
from rq.exceptions import StopRequested
from rq.job import Job
from rq.worker import WorkerStatus

from shared.logs import event
from shared.store.fleet import rq_view
from shared.store.jobs import queue
from shared.store.jobs.claims import Claim

log = logging.getLogger("worker.slot")

# Seconds that one blocking wait for a job lasts; a stop request is noticed in between.
_WAIT = 1
# Seconds before a store that refuses or does not answer is asked again.
_PAUSE = 1.0


class RqWorker(SimpleWorker):
    """RQ's worker loop around `run_claim`, which a subclass implements; nothing is forked."""

    def __init__(
        self, name: str, connection: redis.Redis, takes: queue.Takes = "all", caller_max_active: int | None = None
    ) -> None:
        self._takes = takes
        self._caller_max_active = caller_max_active
        self._stopping = threading.Event()
        super().__init__(
            [Queue(rq_view.QUEUE, connection=connection)], name=name, connection=connection, worker_ttl=rq_view.TTL
        )

    @property
    def is_stopping(self) -> bool:
        """Whether a stop has been requested."""
        return self._stopping.is_set()

    def pop(self) -> Claim | None:
        """Take the next job off the queue."""
        return queue.pop(self.connection, takes=self._takes, caller_max_active=self._caller_max_active)

    def run_claim(self, claim: str) -> None:
        """Run the job of one claim to its end."""
        raise NotImplementedError

    def request_stop(self, _signum: int, _frame: FrameType | None) -> None:
        """Take no new job. Never raises, since the signal may arrive between the pop of a job and its claim."""
        self._stopping.set()
        self._stop_requested = True

    @property
    def should_run_maintenance_tasks(self) -> bool:
        """Return False: the rescuer looks after lost jobs."""
        return False

    def _set_connection(self, connection: redis.Redis) -> redis.Redis:
        """Keep the connection's timeout: RQ would wait 15 s for each reply, and so would a stop."""
        return connection

    def bootstrap(self, *_logging: object) -> None:
        """Register the worker, without RQ's log handlers and its command channel."""
        self.register_birth()  # type: ignore[no-untyped-call]
        self.set_state(WorkerStatus.STARTED)

    def check_for_suspension(self, burst: bool) -> None:
        """Do nothing: the queue is paused by the pop script."""

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Do nothing: `rq_view.lua` refreshes the records of live slots."""

    def dequeue_job_and_maintain_ttl(self, *_timeouts: int | None) -> Any:
        """Wait for the next job, also while the store is down or refuses commands; raise StopRequested for a stop."""
        while not self._stopping.is_set():
            try:
                if self.get_state() != WorkerStatus.IDLE:
                    self.set_state(WorkerStatus.IDLE)
                claim = self.pop()
                if claim is not None:
                    return Job(str(claim), connection=self.connection), self.queues[0]
                queue.wait(self.connection, _WAIT)
            except redis.RedisError as error:
                if self._stopping.is_set():
                    break
                event(log, "queue_not_read", logging.DEBUG, slot=self.name, error=type(error).__name__)
                self._state = WorkerStatus.STARTED  # so that the state is written again
                # The server that refuses may be a demoted primary: a new connection finds the present one.
                self.connection.connection_pool.disconnect()
                time.sleep(_PAUSE)
        raise StopRequested

    def execute_job(self, job: Job, _queue: Queue) -> None:
        """Run one claim in this process, and count it for `rq info`; log an error without its traceback.

        The text of the traceback can quote keys of Redis.
        """
        try:
            self.run_claim(job.id)
        except Exception:
            log.exception("claim_failed", extra={"fields": {"slot": self.name, "claim": job.id}})
            count = self.increment_failed_job_count
        else:
            count = self.increment_successful_job_count
        # The count is for people; a store that is down must not end the slot.
        with suppress(redis.RedisError):
            count()

    def teardown(self) -> None:
        """Take the worker off RQ's lists, if the store answers."""
        with suppress(redis.RedisError):
            super().teardown()  # type: ignore[no-untyped-call]
