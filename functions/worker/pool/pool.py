"""The pool: keeps QUEUE_CONCURRENCY slots alive until told to stop."""

import ctypes
import logging
import os
import signal
import time
from contextlib import suppress
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

import redis
from rq.worker_pool import WorkerData, WorkerPool

from functions.worker.cli import version
from functions.worker.cli.environment import credential_kind
from functions.worker.cli.workspace import WorkerFolder
from functions.worker.jobs.rescuer import Reconciler
from functions.worker.jobs.spool import Spool, spool_dir
from functions.worker.pool import forkserver, redis_check
from functions.worker.pool.ecs_protection import Protection
from functions.worker.pool.redis_retries import Patience
from functions.worker.pool.rq_adapter import NAME, ClaimQueue
from functions.worker.webhooks.process import DelivererProcess
from shared.configuration.settings import WorkerSettings
from shared.host import processes
from shared.logs import event
from shared.store.fleet import slot_names, workers
from shared.store.redis import failures
from shared.store.redis.client import sync_client

log = logging.getLogger("worker.pool")

# A slot that dies before it could do anything is not started again at once: seconds, doubled each time up to the last.
_BACKOFF_FIRST, _BACKOFF_LAST, _LIVED_LONG = 0.5, 30.0, 3.0
# Seconds between two looks at the slots, while they run and while they stop.
_LOOK_EVERY, _LOOK_EVERY_STOPPING = 1.0, 0.1
# Seconds after the grace by which slots are killed that have not ended, and by which everything else has to be done:
# ECS kills the container 10 s after it.
_KILL_AFTER, _DONE_AFTER = 7.0, 8.5


class SlotPool(WorkerPool):
    """RQ's pool with our slots in it, started again with back-off."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._patience = Patience()
        self._stop_at: float | None = None
        super().__init__(
            [NAME],
            connection=sync_client(settings.redis_address, retry=self._patience),
            num_workers=settings.queue_concurrency,
            queue_class=ClaimQueue,
        )
        # From here on: a stop during what follows must neither be lost nor leave anything behind.
        self._install_signal_handlers()  # type: ignore[no-untyped-call]
        spool = spool_dir(settings)
        self._reconciler = Reconciler(self.connection, settings, Spool(spool, settings.max_output_bytes))
        # Slots have another temporary directory, and the same spool.
        self._settings = settings.model_copy(update={"spool_dir": spool})
        self._folder = WorkerFolder()
        self._deliverer = DelivererProcess(settings)
        self._told = 0.0
        self._worker = workers.Worker(
            slot_names.new_worker(),
            version.of_cli(settings),
            "demo" if settings.demo_model else credential_kind(os.environ),
            settings.queue_concurrency,
        )
        self._busy: dict[str, Any] = {}
        self._ours: set[int] = set()
        self._orphans: list[int] = []
        self._born: dict[str, float] = {}
        self._backoff = 0.0
        self._not_before = 0.0
        self._number = 0

    def get_worker_process(self, name: str, *_args: Any, **_options: Any) -> BaseProcess:
        """Make a slot's process.

        Not forked from the pool: a copy of a warm CLI's input would keep that CLI alive for ever.
        """
        context = forkserver.context()
        self._busy[name] = context.RawValue(ctypes.c_bool)
        # The settings go through a pipe, so that no secret stands in an environment.
        arguments = (name, self._settings, self._busy[name])
        # A daemon, which a pool that ends by an error tells to stop, where it would wait for any other for ever.
        return context.Process(target=_be_a_slot, args=arguments, name=name, daemon=True)

    @property
    def busy(self) -> bool:
        """Whether any slot runs a job."""
        return any(flag.value for flag in list(self._busy.values()))

    def start_worker(self, *_counts: Any, **_options: Any) -> None:
        """Start one slot, unless a stop is requested, or slots die so fast that it is better to wait."""
        if self._stop_at is not None or time.monotonic() < self._not_before:
            return
        self._number += 1
        name = slot_names.slot_of(self._worker.name, self._number)
        self._born[name] = time.monotonic()
        process = self.get_worker_process(name)
        process.start()
        self.worker_dict[name] = WorkerData(name, process.pid or 0, process)
        # The server that slots are forked from, and what multiprocessing starts beside the first.
        self._ours.update(processes.children(os.getpid()))
        event(log, "slot_started", slot=name, pid=process.pid)

    def check_workers(self, respawn: bool = True) -> None:
        """Look after the slots, and after what crashes left behind."""
        super().check_workers(respawn)
        self._orphans = processes.collect(self._orphans)
        self._deliverer.look()
        self._reconciler.look()
        self._tell()

    def _tell(self) -> None:
        """Say now and then that this worker is alive, and what it is."""
        if time.monotonic() - self._told >= workers.SAY_EVERY:
            try:
                workers.say(self.connection, self._worker)
                self._told = time.monotonic()
            except redis.RedisError as error:
                failures.report(self._settings.redis_address, error)

    def reap_workers(self) -> None:
        """Handle the slots that have ended; RQ would wait a tenth of a second for each that has not."""
        for data in list(self.worker_dict.values()):
            if not data.process.is_alive():
                self.handle_dead_worker(data)

    def request_stop(self, _signum: int | None = None, _frame: FrameType | None = None) -> None:
        """Request the end of all slots; a second signal changes nothing, so that jobs keep their grace."""
        if self._stop_at is None:
            self._stop_at = time.monotonic()
            self.status = self.Status.STOPPED
            self._patience.end(within=self._settings.shutdown_grace + _DONE_AFTER)
            self.stop_workers()  # type: ignore[no-untyped-call]

    def run(self) -> None:
        """Keep the slots running until a stop is requested, then wait until the last has ended."""
        while self._stop_at is None:
            self.check_workers()
            time.sleep(_LOOK_EVERY)
        killed = False
        while not self.all_workers_have_stopped():
            overtime = time.monotonic() - self._stop_at - self._settings.shutdown_grace
            if overtime > 0:
                self._deliverer.terminate()
            if overtime > _KILL_AFTER and not killed:
                killed = True
                for data in list(self.worker_dict.values()):
                    event(log, "slot_killed", logging.ERROR, slot=data.name)
                    self.stop_worker(data, signal.SIGKILL)
            time.sleep(_LOOK_EVERY_STOPPING)

    def stop_worker(self, worker_data: WorkerData, sig: signal.Signals = signal.SIGTERM) -> None:
        """Tell one slot to stop; not by RQ's SIGINT, which a slot that still starts answers with a traceback."""
        super().stop_worker(worker_data, sig)

    def all_workers_have_stopped(self) -> bool:
        """Say whether no slot is left; signal again those that are, one of which may have been starting before."""
        self.reap_workers()
        self.stop_workers()  # type: ignore[no-untyped-call]
        return not self.worker_dict

    def handle_dead_worker(self, worker_data: WorkerData) -> None:
        """Note a slot's end; what it leaves behind was adopted by us, and is ended."""
        super().handle_dead_worker(worker_data)
        spared = {*self._ours, self._deliverer.pid}
        orphans = [pid for pid in processes.children(os.getpid()) if pid not in spared]
        self._orphans += [pid for orphan in orphans for pid in (orphan, *processes.descendants(orphan))]
        processes.send(signal.SIGKILL, self._orphans)
        self._folder.remove_runs_of(worker_data.pid)
        del self._busy[worker_data.name]
        self._reconciler.slot_died(worker_data.name)
        lived = time.monotonic() - self._born.pop(worker_data.name)
        event(log, "slot_ended", slot=worker_data.name, status=worker_data.process.exitcode)
        self._backoff = 0.0 if lived > _LIVED_LONG else min(max(self._backoff * 2, _BACKOFF_FIRST), _BACKOFF_LAST)
        self._not_before = time.monotonic() + self._backoff

    def close(self) -> None:
        """Leave nothing behind, when no slot is left."""
        stop_at = self._stop_at if self._stop_at is not None else time.monotonic()
        done_at = stop_at + self._settings.shutdown_grace + _DONE_AFTER
        self._deliverer.stop(within=max(0.0, min(done_at - time.monotonic(), self._settings.shutdown_grace + 3.0)))
        # Redis may be back since the stop was requested.
        self._patience.try_again()
        self._reconciler.finish()
        with suppress(redis.RedisError):
            workers.leave(self.connection, self._worker.name)
        left = [pid for pid in processes.children(os.getpid()) if pid not in self._ours]
        processes.send(signal.SIGKILL, left)
        self._folder.remove()


def _be_a_slot(name: str, settings: WorkerSettings, busy: Any) -> None:
    """Run in a slot's process; only there is the SDK imported, which the pool has no use for."""
    from functions.worker.pool.slot import run_slot  # noqa: PLC0415

    run_slot(name, settings, busy)


def wait_for_redis(settings: WorkerSettings) -> None:
    """Wait until Redis answers; log why it does not, once and then each minute."""
    client = sync_client(settings.redis_address)
    wait = 0.2
    while True:
        try:
            client.ping()
            redis_check.warn(client)
        except redis.RedisError as error:
            failures.report(settings.redis_address, error)
            time.sleep(wait)
            wait = min(wait * 2, 5.0)
        else:
            client.close()
            return


def run_pool(settings: WorkerSettings) -> None:
    """Run slots until SIGTERM or SIGINT, then until the last has ended; raises SettingsError.

    Until the pool exists there is nothing to end: the caller's handlers may raise.
    """
    processes.adopt_orphans()
    processes.hide_memory()
    wait_for_redis(settings)
    pool = SlotPool(settings)
    protection = Protection(settings.ecs_agent_uri, lambda: pool.busy) if settings.ecs_agent_uri else None
    event(log, "worker_started", slots=settings.queue_concurrency)
    pool.run()
    pool.close()
    if protection is not None:
        protection.close()
    event(log, "worker_stopped")
