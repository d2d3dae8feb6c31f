"""Gives back the jobs of slots that are gone, and forgets jobs whose time is over. Every worker runs it."""

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
from shared.store.jobs import maintenance
from shared.store.jobs.claims import LEASE
from shared.store.redis import failures

log = logging.getLogger("worker.rescuer")

# The most scripts of one round that cancel jobs of revoked callers.
_CANCELLATIONS = 100
# Rounds are a second apart. After a longer gap, s, the store may have been unreachable meanwhile.
_LATE = 5.0


class Rescuer:
    """Runs the maintenance steps, one round at each call of `run_once`."""

    def __init__(self, connection: redis.Redis, settings: WorkerSettings, spool: Spool) -> None:
        self._connection = connection
        self._settings = settings
        self._spool = spool
        self._refused: set[str] = set()
        self._last_round = self._in_contact_since = time.monotonic()
        self._dead: set[str] = set()

    def run_once(self) -> None:
        """Run every step once; skip the round while the store does not answer."""
        if not self._in_contact():
            return
        # First, so that no job is given back whose result is on disk.
        written = self._step("spool", self._write_spooled)
        if written:
            self._step("rescue", self._rescue_from_dead_slots)
        self._step("cancel_revoked", self._cancel_revoked)
        self._step("expire_decisions", self._expire_decisions)
        self._step("forget_expired", lambda: maintenance.forget_expired(self._connection))
        self._step("queue_next_turns", lambda: maintenance.queue_next_turns(self._connection))
        self._step(
            "release_held",
            lambda: maintenance.release_held(self._connection, caller_max_active=self._settings.caller_max_active),
        )
        # No slot could renew its lease while Redis was away: all of them get the time to do so.
        if written and time.monotonic() - self._in_contact_since > LEASE / 1000:
            self._step("rescue", self._rescue)

    def finish(self) -> None:
        """Write the spooled results and rescue the jobs of slots that have ended, if Redis answers: the worker ends."""
        if self._step("spool", self._write_spooled):
            self._step("rescue", self._rescue_from_dead_slots)

    def add_dead_slot(self, name: str) -> None:
        """Note a slot of this worker that has ended: its job is rescued at the next round, not when its lease ends."""
        self._dead.add(name)

    def _step(self, name: str, work: Callable[[], object]) -> bool:
        """Run one step and return whether Redis allowed it; a refused step does not stop the others."""
        try:
            work()
        except redis.RedisError as error:
            failures.report(self._settings.redis_address, error)
            if name not in self._refused:
                event(log, "maintenance_refused", logging.WARNING, step=name, error=type(error).__name__)
                self._refused.add(name)
            return False
        self._refused.discard(name)
        return True

    def _in_contact(self) -> bool:
        """Return whether Redis answers; a late answer and a late round break the contact as well."""
        try:
            self._connection.ping()
        except redis.RedisError as error:
            failures.report(self._settings.redis_address, error)
            answered = False
        else:
            answered = True
        now = time.monotonic()
        if not answered or now - self._last_round > _LATE:
            self._in_contact_since = now
        self._last_round = now
        return answered

    def _write_spooled(self) -> None:
        self._spool.write_all(self._connection)

    def _expire_decisions(self) -> None:
        maintenance.expire_decisions(
            self._connection,
            denial=json.dumps({"decision": "deny", "message": "Nobody decided on this call in time"}),
            error=json.dumps(failed("approval_expired").body["error"]),
            keep_for=self._settings.result_ttl,
        )

    def _cancel_revoked(self) -> None:
        """Cancel jobs of callers whose keys are revoked: the process that revoked a key may have ended before that."""
        for _ in range(_CANCELLATIONS):
            if not maintenance.cancel_revoked(
                self._connection, most=CANCELLED_AT_ONCE, keep_for=self._settings.result_ttl
            ):
                break

    def _rescue_from_dead_slots(self) -> None:
        for name in sorted(self._dead):
            self._rescue(name)
            self._dead.discard(name)

    def _rescue(self, slot: str | None = None) -> None:
        """Rescue the jobs of a dead slot, or all jobs whose lease has ended."""
        rescued = maintenance.rescue(
            self._connection,
            attempts=self._settings.claude_max_retries,
            keep_for=self._settings.result_ttl,
            error=json.dumps(failed("worker_lost").body["error"]),
            slot=slot,
        )
        for job in rescued:
            event(log, "job_rescued", logging.WARNING, job_id=job.job_id, what=job.what)
