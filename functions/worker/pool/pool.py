"""The pool: keeps QUEUE_CONCURRENCY slots alive until a stop is requested."""

import ctypes
import logging
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

import redis

from functions.worker.cli import version
from functions.worker.cli.environment import credential_kind, take_credential, uses_cloud
from functions.worker.cli.workspace import WorkerFolder
from functions.worker.jobs.reaper import Reaper
from functions.worker.jobs.rescuer import Rescuer
from functions.worker.jobs.scheduler import Scheduler
from functions.worker.jobs.spool import Spool, spool_dir
from functions.worker.pool import forkserver, redis_check, sandbox_check
from functions.worker.pool.ecs_protection import Protection
from functions.worker.pool.orphans import Orphans
from functions.worker.pool.redis_retries import Patience
from functions.worker.sandbox.confine import Sandbox
from functions.worker.webhooks.process import DispatcherProcess
from shared.configuration.settings import SubmitSettings, WorkerSettings, load
from shared.host import processes
from shared.logs import event
from shared.store.fleet import rq_view, slot_names, workers
from shared.store.redis import failures
from shared.store.redis.client import sync_client

log = logging.getLogger("worker.pool")

_WITHOUT_RELAY = "tools that run commands are refused: the CLI's environment has the provider's credentials"

# Seconds before a slot is started in place of one that lived shorter than _LIVED_LONG; doubled up to the last.
_BACKOFF_FIRST, _BACKOFF_LAST, _LIVED_LONG = 0.5, 30.0, 3.0
# Seconds between two checks of the slots, while they run and while they stop.
_CHECK_EVERY, _CHECK_EVERY_STOPPING = 1.0, 0.1
# Seconds after the grace by which slots that have not ended are killed, and by which everything else has to be done:
# ECS kills the container 10 s after the grace.
_KILL_AFTER, _DONE_AFTER = 7.0, 8.5


@dataclass(frozen=True, slots=True)
class SlotProcess:
    """A slot of this pool; `busy` is shared memory, true while it runs a job."""

    name: str
    process: BaseProcess
    busy: Any
    started_at: float

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid or 0

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


class SlotPool:
    """Slots in processes of their own, restarted with back-off; beside them the webhook dispatcher and the rescuer."""

    def __init__(self, settings: WorkerSettings, sandbox: Sandbox) -> None:
        kind = "demo" if settings.demo_model else credential_kind(os.environ)
        # Before any process is started: its environment would hold the credential for as long as it lives.
        self._credential = take_credential()
        self._patience = Patience()
        self._stop_at: float | None = None
        self._connection = sync_client(settings.redis_address, retry=self._patience)
        self._slots: dict[str, SlotProcess] = {}
        # A stop during what follows must neither be lost nor leave anything behind.
        signal.signal(signal.SIGINT, self.request_stop)
        signal.signal(signal.SIGTERM, self.request_stop)
        spool = spool_dir(settings)
        self._rescuer = Rescuer(self._connection, settings, Spool(spool, settings.max_output_bytes))
        self._reaper = Reaper(settings)
        self._scheduler = Scheduler(load(SubmitSettings))
        # Slots have another temporary directory, and the same spool.
        self._settings = settings.model_copy(update={"spool_dir": spool})
        self._sandbox = sandbox
        self._folder = WorkerFolder()
        self._dispatcher = DispatcherProcess(settings)
        self._announced_at = 0.0
        self._worker = workers.Worker(
            slot_names.new_worker(),
            version.of_cli(settings),
            kind,
            settings.queue_concurrency,
            sandbox.kind,
        )
        self._orphans = Orphans(self._own_processes)
        self._backoff = 0.0
        self._not_before = 0.0
        self._number = 0

    @property
    def busy(self) -> bool:
        """Whether any slot runs a job."""
        return any(slot.busy.value for slot in list(self._slots.values()))

    def start_slot(self) -> None:
        """Start one slot, unless a stop is requested or slots die too fast."""
        if self._stop_at is not None or time.monotonic() < self._not_before:
            return
        self._number += 1
        name = slot_names.slot_of(self._worker.name, self._number)
        # Not forked from the pool: a copy of a warm CLI's input would keep that CLI alive.
        context = forkserver.context()
        busy = context.RawValue(ctypes.c_bool)
        # Settings and credential go through a pipe, so that no secret is in an environment. The process is a daemon, so
        # that a pool that ends by an exception terminates it instead of waiting for it.
        arguments = (name, self._settings, busy, self._credential, self._sandbox)
        process = context.Process(target=_run_slot, args=arguments, name=name, daemon=True)
        started_at = time.monotonic()
        process.start()
        self._slots[name] = SlotProcess(name, process, busy, started_at)
        event(log, "slot_started", slot=name, pid=process.pid)

    def check(self) -> None:
        """Replace slots that have ended, and maintain what this worker maintains in Redis."""
        self.remove_ended_slots()
        for _ in range(self._settings.queue_concurrency - len(self._slots)):
            self.start_slot()
        self._orphans.check()
        self._dispatcher.check()
        self._rescuer.run_once()
        self._announce()

    def _announce(self) -> None:
        """Record now and then that this worker is alive, and what it runs; refresh what `rq info` shows."""
        try:
            rq_view.refresh(self._connection)
            if time.monotonic() - self._announced_at >= workers.ANNOUNCE_EVERY:
                workers.announce(self._connection, self._worker)
                self._announced_at = time.monotonic()
        except redis.RedisError as error:
            failures.report(self._settings.redis_address, error)

    def remove_ended_slots(self) -> None:
        """Handle the slots that have ended."""
        for slot in list(self._slots.values()):
            if not slot.process.is_alive():
                self._slot_ended(slot)

    def request_stop(self, _signum: int | None = None, _frame: FrameType | None = None) -> None:
        """Request the end of all slots; a second signal changes nothing, so that jobs keep their grace."""
        if self._stop_at is None:
            self._stop_at = time.monotonic()
            self._patience.end(within=self._settings.shutdown_grace + _DONE_AFTER)
            self._reaper.stop()
            self._scheduler.stop()
            self._terminate_slots()

    def _own_processes(self) -> set[int]:
        """Return the processes of the pool itself: none of them is an orphan."""
        slots = {slot.pid for slot in list(self._slots.values())}
        return {*slots, *forkserver.pids(), self._dispatcher.pid or 0}

    def _terminate_slots(self) -> None:
        for slot in list(self._slots.values()):
            slot.send(signal.SIGTERM)

    def run(self) -> None:
        """Keep the slots running until a stop is requested, then wait until the last has ended."""
        self._reaper.start()
        self._scheduler.start()
        while self._stop_at is None:
            self.check()
            time.sleep(_CHECK_EVERY)
        killed = False
        while not self._have_all_ended():
            overtime = time.monotonic() - self._stop_at - self._settings.shutdown_grace
            if overtime > 0:
                self._dispatcher.terminate()
            if overtime > _KILL_AFTER and not killed:
                killed = True
                for slot in list(self._slots.values()):
                    event(log, "slot_killed", logging.ERROR, slot=slot.name)
                    slot.send(signal.SIGKILL)
            time.sleep(_CHECK_EVERY_STOPPING)

    def _have_all_ended(self) -> bool:
        """Return whether no slot is left; signal the others again, since one may have been starting before."""
        self.remove_ended_slots()
        self._terminate_slots()
        return not self._slots

    def _slot_ended(self, slot: SlotProcess) -> None:
        """Record a slot's end, and end the processes that it left behind, which this process has adopted."""
        del self._slots[slot.name]
        self._orphans.end()
        # Another slot ends the job of a run that has ended, in the time that its lease has left.
        if not self._folder.remove_runs_of(slot.pid, keeps_finished=self._stop_at is None):
            self._rescuer.add_dead_slot(slot.name)
        lived = time.monotonic() - slot.started_at
        event(log, "slot_ended", slot=slot.name, status=slot.process.exitcode)
        self._backoff = 0.0 if lived > _LIVED_LONG else min(max(self._backoff * 2, _BACKOFF_FIRST), _BACKOFF_LAST)
        self._not_before = time.monotonic() + self._backoff

    def close(self) -> None:
        """Leave nothing behind, when no slot is left."""
        stop_at = self._stop_at if self._stop_at is not None else time.monotonic()
        done_at = stop_at + self._settings.shutdown_grace + _DONE_AFTER
        self._dispatcher.stop(within=max(0.0, min(done_at - time.monotonic(), self._settings.shutdown_grace + 3.0)))
        # Redis may be back since the stop was requested.
        self._patience.try_again()
        self._rescuer.finish()
        with suppress(redis.RedisError):
            workers.leave(self._connection, self._worker.name)
        self._orphans.finish()
        self._folder.remove()


def _run_slot(name: str, settings: WorkerSettings, busy: Any, credential: Any, sandbox: Sandbox) -> None:
    """Run in a slot's process; only a slot imports the SDK."""
    from functions.worker.pool.slot import run_slot  # noqa: PLC0415

    run_slot(name, settings, busy, credential, sandbox)


def wait_for_redis(settings: WorkerSettings) -> None:
    """Wait until Redis answers; log why it does not, at once and then each minute."""
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
    """Run slots until SIGTERM or SIGINT, then until the last has ended; raise SettingsError.

    Until the pool exists there is nothing to end, so the caller's signal handlers may raise.
    """
    processes.adopt_orphans()
    processes.hide_memory()
    sandbox = sandbox_check.find(settings)
    wait_for_redis(settings)
    pool = SlotPool(settings, sandbox)
    protection = Protection(settings.ecs_agent_uri, lambda: pool.busy) if settings.ecs_agent_uri else None
    event(log, "worker_started", slots=settings.queue_concurrency, sandbox=sandbox.kind)
    if uses_cloud(os.environ):
        event(log, "relay_not_used", logging.WARNING, credentials=credential_kind(os.environ), meaning=_WITHOUT_RELAY)
    pool.run()
    pool.close()
    if protection is not None:
        protection.close()
    event(log, "worker_stopped")
