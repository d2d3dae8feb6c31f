"""A slot: one process that runs one job at a time, all its life.

RQ's loop has the main thread. asyncio, with the SDK in it, has one thread that lives as long as the slot.
"""

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Coroutine
from contextlib import suppress
from types import FrameType
from typing import Any, Protocol

import uvloop
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.exceptions import StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import now

from functions.worker.cli.environment import take_credential
from functions.worker.cli.warm import WarmCli
from functions.worker.jobs.attempt import Asked, Means, attempt
from functions.worker.jobs.spool import Spool, spool_dir
from functions.worker.pool.redis_retries import Patience
from functions.worker.pool.rq_adapter import NAME, ClaimJob, ClaimQueue, NoDeathPenalty
from functions.worker.pool.tasks import end, wait_here
from functions.worker.relay.relay import Relay
from shared import logs
from shared.configuration.settings import WorkerSettings
from shared.host import processes
from shared.store.fleet import slots
from shared.store.jobs.claims import Claim, cancellations
from shared.store.redis import failures
from shared.store.redis.client import async_client, close_clients, sync_client

log = logging.getLogger("worker.slot")

# The dequeue loop blocks for a second at a time; a reply that takes twice as long is not waited for.
_REPLY_TIMEOUT = 2.0
# Seconds until a Redis that refuses or does not answer is asked again.
_PAUSE = 1.0
# Seconds after the grace in which a slot hands back its job, and takes itself off the lists in Redis.
_OVERTIME = 6.0
_LEAVE_WITHIN = 1.0


class Flag(Protocol):
    """A boolean that a slot and its pool share."""

    value: bool


class AsyncSide:
    """The thread in which everything asynchronous of a slot happens."""

    def __init__(self, name: str, settings: WorkerSettings, busy: Flag) -> None:
        self.name = name
        self.settings = settings
        self._busy = busy
        self._asked = Asked()
        self._running: str | None = None
        # Whether Redis did not take the settlement of the last job, and a stop left it on disk.
        self.spooled = False
        environ = dict(os.environ)
        credential = take_credential()
        self._relay = None
        if credential is not None:
            self._relay = Relay(credential, environ, settings.claude_silence_timeout / 1000)
        self._warm = WarmCli(settings, self._relay)
        self._spool = Spool(spool_dir(settings), settings.max_output_bytes)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="async side", daemon=True)
        self._thread.start()
        self._tasks: list[asyncio.Task[None]] = []
        self.call(self._begin())

    async def _begin(self) -> None:
        self._tasks = [asyncio.create_task(work) for work in (self._beat(), self._listen(), self._warm.run())]

    def call(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine there and wait here for its end."""
        wait_here(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def run_claim(self, text: str) -> None:
        """Run the job of one claim, whatever comes of it."""
        claim = Claim.parse(text)
        self._running = claim.job_id
        self._busy.value = True
        self._asked.cancel.clear()
        means = Means(async_client(self.settings.redis_address), self.settings, self._warm, self._spool)
        try:
            self.spooled = await attempt(claim, self.name, means, self._asked)
        finally:
            self._running = None
            self._busy.value = False

    def stop_after(self, seconds: float) -> None:
        """Hand back what runs then; may be called from a signal handler."""
        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, self._asked.stop.set)

    def close(self) -> None:
        """Take the slot off the list and end the thread."""

        async def leave() -> None:
            await end(*self._tasks)
            try:
                async with asyncio.timeout(_LEAVE_WITHIN):
                    await slots.leave(async_client(self.settings.redis_address), self.name)
            except (RedisError, TimeoutError):
                log.warning("slot_not_taken_off")
            if self._relay is not None:
                await self._relay.close()
            await close_clients()

        self.call(leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> None:
        """Hear of cancelled jobs; while nothing is heard, the record is read each second all the same."""
        while True:
            try:
                async for job_id in cancellations(async_client(self.settings.redis_address)):
                    if job_id == self._running:
                        self._asked.cancel.set()
            except (RedisError, OSError) as error:
                failures.report(self.settings.redis_address, error, beside_pool=True)
            await asyncio.sleep(1)

    async def _beat(self) -> None:
        while True:
            try:
                await slots.beat(async_client(self.settings.redis_address), self.name)
            except RedisError as error:
                failures.report(self.settings.redis_address, error, beside_pool=True)
            await asyncio.sleep(slots.ALIVE_FOR / 3)


class Slot(SimpleWorker):
    """RQ's worker around one slot: nothing is forked, for the work is in the CLI's process."""

    death_penalty_class = NoDeathPenalty
    max_connection_wait_time = _PAUSE

    def __init__(self, name: str, settings: WorkerSettings, busy: Flag) -> None:
        self._patience = Patience()
        connection = sync_client(settings.redis_address, reply_timeout=_REPLY_TIMEOUT, retry=self._patience)
        super().__init__(
            [ClaimQueue(NAME, connection=connection, job_class=ClaimJob, serializer=JSONSerializer)],
            name=name,
            connection=connection,
            queue_class=ClaimQueue,
            job_class=ClaimJob,
            serializer=JSONSerializer,
            # Blocks ttl - 15 s at a time; between two blocks it heartbeats and cleans up.
            worker_ttl=20,
            maintenance_interval=30,
            job_monitoring_interval=5,
            log_job_description=False,
        )
        self._grace = settings.shutdown_grace
        self._async = AsyncSide(name, settings, busy)

    def _set_connection(self, connection: Redis) -> Redis:
        """Keep our timeout: RQ would wait 15 s for each reply, and so would a stop."""
        return connection

    def bootstrap(self, *_logging: object) -> None:
        """Register; take no commands over RQ's channel, for RQ never stops a run; log as the gateway does."""
        self.register_birth()  # type: ignore[no-untyped-call]
        self.set_state("started")

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run one claim in this process."""
        assert isinstance(job, ClaimJob)  # noqa: S101 -- by job_class
        job.run_claim = self._run_claim
        try:
            super().execute_job(job, queue)
        except RedisError:
            # Only what RQ writes of the claim is missing, and that expires.
            if ClaimQueue.stopping.is_set():
                raise StopRequested from None
            raise

    def _run_claim(self, claim: str) -> None:
        self._async.call(self._async.run_claim(claim))
        if self._async.spooled:
            self._patience.give_up()

    def request_stop(self, _signum: int, _frame: FrameType | None) -> None:
        """Take no new job, and give the running one its grace.

        Never raises: RQ's own way could interrupt between the pop of a job and its claim.
        """
        if not ClaimQueue.stopping.is_set():
            ClaimQueue.stopping.set()
            self._stop_requested = True
            self._patience.end(within=self._grace + _OVERTIME)
            self._async.stop_after(self._grace)

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> Any:
        """Wait for the next job, also while Redis refuses commands, until a stop is requested.

        RQ itself waits only for a Redis that cannot be connected to, and ends at a refusal such as READONLY.
        """
        while True:
            try:
                return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
            except RedisError as error:
                if ClaimQueue.stopping.is_set():
                    raise StopRequested from None
                logs.event(log, "queue_not_read", logging.DEBUG, slot=self.name, error=type(error).__name__)
                # What refuses may be a primary that has been demoted: a new connection finds the present one.
                self.connection.connection_pool.disconnect()
                time.sleep(_PAUSE)

    def run_maintenance_tasks(self) -> None:
        """Clean RQ's registries, unless Redis fails or a stop is requested.

        A failure must not reach RQ's loop: it would try again at once and never come to the next job, which is where a
        stop is seen.
        """
        if ClaimQueue.stopping.is_set():
            raise StopRequested
        try:
            super().run_maintenance_tasks()  # type: ignore[no-untyped-call]
        except RedisError as error:
            logs.event(log, "rq_not_cleaned", logging.WARNING, slot=self.name, error=type(error).__name__)
            self.last_cleaned_at = now()  # type: ignore[assignment]

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Tell RQ that this worker lives; a store that is away is no reason to drop a job just popped, or to end."""
        with suppress(RedisError):
            super().heartbeat(timeout, pipeline)

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """Log where a run or RQ's record of it failed, without RQ's traceback, whose text can quote keys of Redis."""
        log.error("claim_failed", exc_info=exc_info, extra={"fields": {"slot": self.name, "rq_job": job.id}})

    def check_for_suspension(self, burst: bool) -> None:
        """Do nothing: the queue is paused by the pop script, not by RQ's suspension."""

    def teardown(self) -> None:
        """Leave nothing behind in Redis, if it answers."""
        self._async.close()
        with suppress(RedisError):
            super().teardown()  # type: ignore[no-untyped-call]


def run_slot(name: str, settings: WorkerSettings, busy: Flag) -> None:
    """Be a slot until told to stop, or until the pool ends; `busy` tells the pool whether a job runs."""
    # A session of its own: Ctrl-C on the pool's terminal must not reach the CLI.
    os.setsid()
    processes.name_this("cg-slot")
    processes.end_with_pool()
    processes.adopt_orphans()
    processes.hide_memory()
    logs.configure(settings)
    # RQ logs each of its tries to reach Redis; the pool logs what is wrong, once and then each minute.
    logging.getLogger("rq.worker").addFilter(lambda record: "could not connect to Redis" not in str(record.msg))
    try:
        Slot(name, settings, busy).work(with_scheduler=False)
    except RedisError as error:
        # Before its loop it needs Redis; the pool starts it again.
        logs.event(log, "slot_not_started", logging.WARNING, slot=name, error=type(error).__name__)
        sys.exit(1)
