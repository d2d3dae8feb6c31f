"""Makes the jobs of schedules when they are due. Every worker runs it; the store makes one job of each due time."""

import asyncio
import threading

from redis.exceptions import RedisError

from shared.configuration.settings import SubmitSettings
from shared.services.due_schedules import carry_out_due
from shared.store.redis import failures
from shared.store.redis.client import close_clients

# Seconds between two looks at the store, at most: a schedule may be created, or changed, at any time.
_LOOK_EVERY = 1.0


class Scheduler:
    """Looks for due schedules in a thread of its own."""

    def __init__(self, settings: SubmitSettings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        """Start to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more after the present look; the worker does not wait for it."""
        self._stop.set()

    def _run(self) -> None:
        asyncio.run(self._look_until_stopped())

    async def _look_until_stopped(self) -> None:
        while not self._stop.is_set():
            wait = None
            try:
                wait = await carry_out_due(self._settings)
            except (RedisError, OSError) as error:
                failures.report(self._settings.redis_address, error)
            # A due time that comes sooner is not waited for by whole seconds.
            await asyncio.to_thread(self._stop.wait, _LOOK_EVERY if wait is None else min(_LOOK_EVERY, wait + 0.001))
        await close_clients()
