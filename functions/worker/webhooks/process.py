"""The webhook dispatcher's process: one in each worker, restarted when it dies."""

import asyncio
import logging
import os
import signal
import time
from multiprocessing.process import BaseProcess

from functions.worker.pool import forkserver
from shared import logs
from shared.configuration.settings import WorkerSettings
from shared.host import processes
from shared.store.redis.client import async_client, close_clients
from shared.tracing import spans

log = logging.getLogger("worker.dispatcher")

# Seconds that delivery attempts get to end when the worker stops; less than ECS leaves after SHUTDOWN_GRACE.
_GRACE = 5.0
# Seconds between two starts, at least.
_BACKOFF = 5.0


class DispatcherProcess:
    """Keeps a dispatcher alive for the pool, which calls `check` each second."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._process: BaseProcess | None = None
        self._not_before = 0.0

    @property
    def pid(self) -> int | None:
        """The process id, while it is alive."""
        return self._process.pid if self._process is not None else None

    def check(self) -> None:
        """Start the process, unless it is alive or has just been started."""
        if self._process is not None and not self._process.is_alive():
            logs.event(log, "dispatcher_ended", logging.WARNING, status=self._process.exitcode)
            self._process.close()
            self._process = None
        if self._process is None and time.monotonic() >= self._not_before:
            self._not_before = time.monotonic() + _BACKOFF
            # A daemon for the same reason as the slots.
            self._process = forkserver.context().Process(target=_run_dispatcher, args=(self._settings,), daemon=True)
            self._process.start()
            logs.event(log, "dispatcher_started", pid=self._process.pid)

    def terminate(self) -> None:
        """Request its end: it leases nothing more, and delivery attempts get a short grace."""
        if self._process is not None:
            self._process.terminate()

    def stop(self, within: float) -> None:
        """Terminate it, and kill it after so many seconds."""
        self.terminate()
        if self._process is not None:
            self._process.join(within)
            self._process.kill()
            self._process.join()


def _grace(settings: WorkerSettings) -> float:
    return min(_GRACE, settings.shutdown_grace)


def _run_dispatcher(settings: WorkerSettings) -> None:
    """Run in the dispatcher's process; only that one imports its HTTP client."""
    os.setsid()
    processes.set_name("cg-dispatcher")
    processes.end_with_pool()
    processes.hide_memory()
    logs.configure(settings)
    spans.start(settings)
    asyncio.run(_dispatch(settings))
    spans.flush(spans.AT_THE_END)


async def _dispatch(settings: WorkerSettings) -> None:
    from functions.worker.webhooks.dispatcher import Dispatcher  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Dispatcher(async_client(settings.redis_address), settings).run(stop, _grace(settings))
    await close_clients()
