"""Removes the bytes and records of files whose time is over, and what killed processes have left of uploads."""

import asyncio
import logging
import threading
import time

import redis.asyncio
from redis.exceptions import RedisError

from shared.configuration.settings import WorkerSettings
from shared.files.objects import Objects, StoreError, objects
from shared.logs import event
from shared.services.files import complete, discard
from shared.store.files import files
from shared.store.redis import failures
from shared.store.redis.client import async_client, close_clients

log = logging.getLogger("worker.reaper")

# Seconds between two rounds, and between two sweeps of the whole fleet.
_EVERY, _SWEEP_EVERY = 20.0, 900
# Files of one script. Younger bytes, s, are not swept: clocks differ.
_AT_ONCE, _YOUNG = 100, 600.0


async def reap(client: redis.asyncio.Redis, where: Objects) -> None:
    """Remove what is due, and complete presigned uploads that nobody has asked for since they arrived."""
    while due := await files.take_due(client, _AT_ONCE):
        for one in due:
            if one.state == "deleted":
                await discard(client, where, one.file_id, one.path)
            elif (file := await files.find_any(client, one.file_id)) is not None:
                try:
                    await complete(client, where, file)
                except StoreError:
                    await files.check_again(client, one.file_id)
                    raise
        if len(due) < _AT_ONCE:
            break


async def sweep(client: redis.asyncio.Redis, where: Objects) -> None:
    """Remove bytes that no record names: Redis can lose a record when it is killed."""
    prefix = await files.own_prefix(client, _SWEEP_EVERY)
    if prefix is None:
        return
    old = time.time() - _YOUNG
    async for group in where.every(prefix):
        paths = [path.removesuffix(".upload") for path, changed in group if changed < old]
        for path in await files.unknown(client, paths) if paths else ():
            await where.remove(path)
            await where.remove(f"{path}.upload")
            event(log, "unknown_file_removed", logging.WARNING)


class Reaper:
    """Runs the rounds in a thread of their own: an object store that hangs does not stop the rescuer."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reaper", daemon=True)
        self._failed = False

    def start(self) -> None:
        """Start the rounds."""
        self._thread.start()

    def stop(self) -> None:
        """End the rounds after the running one; the worker does not wait for it."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            asyncio.run(self._round())
            self._stop.wait(_EVERY)

    async def _round(self) -> None:
        try:
            client = async_client(self._settings.redis_address)
            where = objects(self._settings)
            await reap(client, where)
            await sweep(client, where)
            self._failed = False
        except RedisError as error:
            failures.report(self._settings.redis_address, error)
        except StoreError as error:
            if not self._failed:
                event(log, "file_store_failed", logging.WARNING, error=type(error).__name__)
            self._failed = True
        finally:
            await close_clients()
