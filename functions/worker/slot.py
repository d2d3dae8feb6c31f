"""A slot: one process that runs one job at a time, all its life.

RQ's loop has the main thread. asyncio, with the SDK in it, has one thread that lives as long as the slot.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import FrameType
from typing import Any, Protocol

from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer

from functions.worker import processes
from functions.worker.attempt import Asked, Means, attempt
from functions.worker.queue import NAME, ClaimJob, ClaimQueue, NoDeathPenalty
from functions.worker.spool import Spool, spool_dir
from functions.worker.tasks import end, wait_here
from functions.worker.warm import WarmCli
from shared import logs
from shared.settings import WorkerSettings
from shared.store import failures, slots
from shared.store.claims import Claim, cancellations
from shared.store.client import async_client, close_clients, sync_client

log = logging.getLogger("worker.slot")


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
        self._warm = WarmCli(settings)
        self._spool = Spool(spool_dir(settings))
        self._loop = asyncio.new_event_loop()
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
            await attempt(claim, self.name, means, self._asked)
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
                await slots.leave(async_client(self.settings.redis_address), self.name)
            except RedisError:
                log.warning("slot_not_taken_off")
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
    max_connection_wait_time = 2.0

    def __init__(self, name: str, settings: WorkerSettings, busy: Flag) -> None:
        connection = sync_client(settings.redis_address)
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

    def bootstrap(self, *_logging: object) -> None:
        """Register; take no commands over RQ's channel, for RQ never stops a run; log as the gateway does."""
        self.register_birth()  # type: ignore[no-untyped-call]
        self.set_state("started")

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run one claim in this process."""
        assert isinstance(job, ClaimJob)  # noqa: S101 -- by job_class
        job.run_claim = lambda claim: self._async.call(self._async.run_claim(claim))
        super().execute_job(job, queue)

    def request_stop(self, _signum: int, _frame: FrameType | None) -> None:
        """Take no new job, and give the running one its grace.

        Never raises: RQ's own way could interrupt between the pop of a job and its claim.
        """
        if not ClaimQueue.stopping.is_set():
            ClaimQueue.stopping.set()
            self._stop_requested = True
            self._async.stop_after(self._grace)

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Tell RQ that this worker lives; a store that is away is no reason to drop a job just popped, or to end."""
        with suppress(RedisError):
            super().heartbeat(timeout, pipeline)

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
    Slot(name, settings, busy).work(with_scheduler=False)
