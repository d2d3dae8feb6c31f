"""The deliverer's process: one in each worker container, started again when it dies."""

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

log = logging.getLogger("worker.deliverer")

# What is being sent when the worker ends gets so long; inside what ECS leaves after SHUTDOWN_GRACE; s.
_GRACE = 5.0
# One that dies at once is not started again at once; s.
_BACKOFF = 5.0


class DelivererProcess:
    """Keeps a deliverer alive for the pool, which calls `look` each second."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._process: BaseProcess | None = None
        self._not_before = 0.0

    @property
    def pid(self) -> int | None:
        """Its process id, while it lives."""
        return self._process.pid if self._process is not None else None

    def look(self) -> None:
        """Start it, unless it lives, or has just been started."""
        if self._process is not None and not self._process.is_alive():
            logs.event(log, "deliverer_ended", logging.WARNING, status=self._process.exitcode)
            self._process.close()
            self._process = None
        if self._process is None and time.monotonic() >= self._not_before:
            self._not_before = time.monotonic() + _BACKOFF
            # A daemon for the reason that slots are.
            self._process = forkserver.context().Process(target=_be_the_deliverer, args=(self._settings,), daemon=True)
            self._process.start()
            logs.event(log, "deliverer_started", pid=self._process.pid)

    def terminate(self) -> None:
        """Request its end: it leases nothing new, and what is being sent gets a short grace."""
        if self._process is not None:
            self._process.terminate()

    def stop(self, within: float) -> None:
        """End it, after so many seconds by force."""
        self.terminate()
        if self._process is not None:
            self._process.join(within)
            self._process.kill()
            self._process.join()


def _grace(settings: WorkerSettings) -> float:
    return min(_GRACE, settings.shutdown_grace)


def _be_the_deliverer(settings: WorkerSettings) -> None:
    """Run in the deliverer's process; only there is its HTTP client imported."""
    os.setsid()
    processes.name_this("cg-deliverer")
    processes.end_with_pool()
    processes.hide_memory()
    logs.configure(settings)
    asyncio.run(_deliver(settings))


async def _deliver(settings: WorkerSettings) -> None:
    from functions.worker.webhooks.dispatcher import Deliverer  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Deliverer(async_client(settings.redis_address), settings).run(stop, _grace(settings))
    await close_clients()
