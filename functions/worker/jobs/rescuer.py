"""Heals what a crash left behind, and forgets what is over; every worker does, and twice does no harm."""

import json
import logging
import time
from collections.abc import Callable

import redis

from functions.worker.jobs.outcome import failed
from functions.worker.jobs.spool import Spool
from shared.configuration.settings import WorkerSettings
from shared.logs import event
from shared.store.callers.callers import CANCELLED_AT_ONCE
from shared.store.jobs.claims import LEASE
from shared.store.redis import failures
from shared.store.redis.scripts import run_sync

log = logging.getLogger("worker.reconcile")

# How many jobs are healed or forgotten at a time, so that nobody waits long for Redis.
_MOST = 500
# A look cancels jobs of revoked callers in so many scripts at most.
_CANCELLATIONS = 100
# Looks are a second apart; after a longer gap, s, nobody knows what was missed.
_LATE = 5.0
# A job that took so many workers with it is not given to another.
_MAY_LOSE = 2


class Reconciler:
    """Looks each time that `look` is called."""

    def __init__(self, connection: redis.Redis, settings: WorkerSettings, spool: Spool) -> None:
        self._connection = connection
        self._settings = settings
        self._spool = spool
        self._refused: set[str] = set()
        self._looked_at = self._in_contact_since = time.monotonic()
        self._dead: set[str] = set()

    def look(self) -> None:
        """Heal and forget; a store that is away is looked at the next time."""
        if not self._in_contact():
            return
        # First, so that no job is given back whose result is on disk.
        written = self._step("spool", self._spool.write_all, self._connection)
        if written:
            self._step("rescue", self._rescue_from_dead_slots)
        self._step("cancel_revoked", self._cancel_revoked)
        self._step("reap", run_sync, self._connection, "reap", _MOST)
        self._step("unpark", run_sync, self._connection, "unpark", _MOST)
        # While Redis was away nobody could renew a lease: all get the time to.
        if written and time.monotonic() - self._in_contact_since > LEASE / 1000:
            self._step("rescue", self._heal, "")

    def _step(self, name: str, work: Callable[..., object], *args: object) -> bool:
        """Do one thing and return whether Redis allowed it; one that it refuses does not stop the others."""
        try:
            work(*args)
        except redis.RedisError as error:
            failures.report(self._settings.redis_address, error)
            if name not in self._refused:
                event(log, "maintenance_refused", logging.WARNING, step=name, error=type(error).__name__)
                self._refused.add(name)
            return False
        self._refused.discard(name)
        return True

    def _cancel_revoked(self) -> None:
        """Cancel jobs of callers whose keys are revoked: whoever revoked one may have ended before all were."""
        keep = self._settings.result_ttl * 1000
        for _ in range(_CANCELLATIONS):
            if not run_sync(self._connection, "cancel_revoked", CANCELLED_AT_ONCE, keep):
                break

    def _in_contact(self) -> bool:
        """Say whether Redis answers; an answer that came late, or a look that did, breaks the contact as well."""
        try:
            self._connection.ping()
        except redis.RedisError as error:
            failures.report(self._settings.redis_address, error)
            answered = False
        else:
            answered = True
        now = time.monotonic()
        if not answered or now - self._looked_at > _LATE:
            self._in_contact_since = now
        self._looked_at = now
        return answered

    def slot_died(self, name: str) -> None:
        """Note a slot of our own that has ended: its job is healed at the next look, not when its lease ends."""
        self._dead.add(name)

    def finish(self) -> None:
        """Write the spooled results and heal the jobs of slots that have ended, if Redis answers: the worker ends."""
        if self._step("spool", self._spool.write_all, self._connection):
            self._step("rescue", self._rescue_from_dead_slots)

    def _rescue_from_dead_slots(self) -> None:
        for name in sorted(self._dead):
            self._heal(name)
            self._dead.discard(name)

    def _heal(self, slot: str) -> None:
        error = json.dumps(failed("worker_lost").body["error"])
        attempts, keep = self._settings.claude_max_retries, self._settings.result_ttl * 1000
        healed = run_sync(self._connection, "rescue", _MOST, _MAY_LOSE, attempts, keep, error, slot)
        for index in range(0, len(healed), 2):
            job_id, what = healed[index].decode(), healed[index + 1].decode()
            event(log, "job_recovered", logging.WARNING, job_id=job_id, what=what)
