"""Makes the jobs of schedules when they are due. Every worker runs it; the store makes one job of each due time."""

import asyncio
import threading

from redis.exceptions import RedisError

from shared.configuration.settings import SubmitSettings
from shared.store.redis import failures
from shared.store.redis.client import async_client, close_clients
from shared.store.schedules import schedules

# Seconds between two looks at the store, at most: a schedule may be created, or changed, at any time.
_LOOK_EVERY = 1.0
# ms after which another worker carries out what one has taken: when one dies, a due time is still less than 2 s late.
_LEASE = 1000
_AT_ONCE = 50


async def look(settings: SubmitSettings) -> float | None:
    """Carry out all due times that have come; return the seconds until the next, None when none is known.

    Raises errors of the store.
    """
    while True:
        found = await schedules.due(async_client(settings.redis_address), most=_AT_ONCE, lease_for=_LEASE)
        if found.schedules:
            # Most deployments have no schedule, and their workers do without what accepts submissions.
            from shared.services.due_schedules import carry_out  # noqa: PLC0415

            await carry_out(found, settings)
        if len(found.schedules) < _AT_ONCE:
            return None if found.wait is None else found.wait / 1000


async def look_until(stop: threading.Event, settings: SubmitSettings) -> None:
    """Look each second, and when a due time comes, until a stop is requested."""
    while not stop.is_set():
        wait = None
        try:
            wait = await look(settings)
        except (RedisError, OSError) as error:
            failures.report(settings.redis_address, error)
        await asyncio.to_thread(stop.wait, _LOOK_EVERY if wait is None else min(_LOOK_EVERY, wait + 0.001))
    await close_clients()


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
        asyncio.run(look_until(self._stop, self._settings))
