"""Heals what a crash left behind, and forgets what is over; every worker does, and twice does no harm."""

import json
import logging
import time
from contextlib import suppress

import redis

from functions.worker.outcome import failed
from shared.logs import event
from shared.settings import WorkerSettings
from shared.store.claims import LEASE
from shared.store.scripts import run_sync

log = logging.getLogger("worker.reconcile")

# How many jobs are healed or forgotten at a time, so that nobody waits long for Redis.
_MOST = 500
# A job that took so many workers with it is not given to another.
_MAY_LOSE = 2


class Reconciler:
    """Looks each time that `look` is called; `settings.result_ttl` s is how long a job stays that it ends."""

    def __init__(self, connection: redis.Redis, settings: WorkerSettings) -> None:
        self._connection = connection
        self._keep = settings.result_ttl * 1000
        self._in_contact_since = time.monotonic()

    def look(self) -> None:
        """Heal and forget; a store that is away is looked at the next time."""
        try:
            self._connection.ping()
        except redis.RedisError:
            self._in_contact_since = time.monotonic()
            return
        with suppress(redis.RedisError):
            run_sync(self._connection, "reap", _MOST)
            # While Redis was away nobody could renew a lease: all get the time to.
            if time.monotonic() - self._in_contact_since > LEASE / 1000:
                self._heal()

    def _heal(self) -> None:
        error = json.dumps(failed("worker_lost").body["error"])
        healed = run_sync(self._connection, "recover", _MOST, _MAY_LOSE, self._keep, error)
        for index in range(0, len(healed), 2):
            job_id, what = healed[index].decode(), healed[index + 1].decode()
            event(log, "job_recovered", logging.WARNING, job_id=job_id, what=what)
