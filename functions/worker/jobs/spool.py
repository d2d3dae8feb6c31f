"""The spool: settlements on disk while Redis cannot take them, so that no outcome is lost with a worker.

Workers of several gateways may share the directory. Each writes the settlements of its own deployment to its own Redis,
and leaves all others where they are.
"""

import asyncio
import errno
import logging
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import redis
import redis.asyncio
from redis.exceptions import RedisError

from functions.worker.jobs.spool_folder import Entry, SpoolFolder, deployment_of, file_name
from shared.configuration.settings import WorkerSettings
from shared.logs import event
from shared.store.jobs.claims import Claim, Settled, deployment, knows, settle, settle_sync
from shared.store.jobs.settlements import NewerVersionError, Settlement
from shared.store.redis.failures import is_refusal

log = logging.getLogger("worker.spool")

_FIRST_WAIT, _LAST_WAIT = 0.1, 2.0
_LONGEST_RESULT = 4_194_304
# Files of no deployment that are moved away in one round, and deployments that one process logs.
_MOST_REFUSED, _MOST_LOGGED = 100, 100
# The process or the machine lacks a resource; the file is not at fault.
_TRANSIENT = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EAGAIN}


def spool_dir(settings: WorkerSettings) -> Path:
    """Return SPOOL_DIR, or its default."""
    return settings.spool_dir or Path(tempfile.gettempdir()) / f"claude-gateway-spool-{os.getuid()}"


class _RefusedError(Exception):
    """No Redis will ever accept a file; the text says why."""


class Spool:
    """Keeps settlements while Redis does not accept them, and writes them to Redis later."""

    def __init__(self, path: Path, longest_result: int = _LONGEST_RESULT) -> None:
        """Create the directory unless it exists; raise SettingsError when it is not this user's alone."""
        self._folder = SpoolFolder(path, longest_result)
        # Files that are done and could not be removed.
        self._done: set[Entry] = set()
        self._logged: set[str] = set()

    async def settle(self, client: redis.asyncio.Redis, settlement: Settlement, stop: asyncio.Event) -> str:
        """Write a settlement to Redis, however long it takes; after `stop` leave it on disk for the next worker.

        Return `settled`, `held` or `void` as the store does; `spooled` when it is on disk; `refused` when Redis will
        never accept it; `lost` when neither Redis nor the disk has accepted it at `stop`.
        """
        wait, kept = _FIRST_WAIT, False
        while True:
            answer = None
            try:
                answer = await settle(client, settlement)
            except RedisError as error:
                if is_refusal(error):
                    await asyncio.to_thread(self._refuse, settlement, kept, type(error).__name__)
                    return "refused"
            if answer is not None and answer != "foreign":
                if kept:
                    await asyncio.to_thread(self._remove, settlement)
                return answer
            kept = kept or await asyncio.to_thread(self._keep, settlement, wait == _FIRST_WAIT)
            if kept and answer == "foreign":
                # Another Redis has the address of ours. Ours gets the settlement when it is back.
                return "spooled"
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await stop.wait()
            if stop.is_set():
                if not kept:
                    event(log, "settlement_lost", logging.ERROR, job_id=settlement.job_id)
                return "spooled" if kept else "lost"
            wait = min(wait * 2, _LAST_WAIT)

    def has(self, claim: Claim) -> bool:
        """Return whether the settlement of a claim is on disk."""
        return self._folder.has(claim)

    def write_all(self, connection: redis.Redis) -> None:
        """Write the settlements of this deployment, of any worker; raise RedisError to try again later.

        No file and no fault of the disk raises.
        """
        try:
            with self._folder.opened() as folder:
                self._write_all(connection, folder)
        except OSError as error:
            self._log_once("spool_unusable", error=error.strerror or str(error))
        else:
            self._logged.discard("spool_unusable")

    def _write_all(self, connection: redis.Redis, folder: int) -> None:
        entries = self._folder.entries(folder)
        self._done.intersection_update(entries)
        if not (waiting := entries - self._done):
            return
        (own, key), refused = deployment(connection), 0
        named = {entry: deployment_of(entry[0]) for entry in waiting}
        # Those of this deployment first: there may be many that belong to none.
        for entry in sorted(waiting, key=lambda entry: (named[entry] != own, entry)):
            name = named[entry]
            if name is not None and name != own:
                self._log_once("spooled_result_of_another_deployment", deployment=name[:64])
            elif name == own or refused < _MOST_REFUSED:
                refused += not self._write(connection, folder, entry, own, key)

    def _write(self, connection: redis.Redis, folder: int, entry: Entry, own: str, key: str) -> bool:
        """Write one file; return False when neither this deployment nor another could ever accept it."""
        name, _ = entry
        try:
            settlement = self._read(folder, name)
            if settlement.deployment != own:
                self._log_once("spooled_result_of_another_deployment", deployment=settlement.deployment[:64])
                return True
            if _send(connection, settlement, key) == "foreign":
                return True
        except FileNotFoundError:
            return True  # Its slot has written it.
        except NewerVersionError:
            self._log_once("spooled_result_of_a_newer_version", deployment=own)
            return True
        except _RefusedError as error:
            moved = self._folder.set_aside(folder, name)
            if not moved:
                self._done.add(entry)
            event(log, "spooled_result_refused", logging.ERROR, file=name[:100], why=str(error), moved=moved)
            return False
        event(log, "spooled_result_written", job_id=settlement.job_id, n=settlement.number)
        if not self._folder.remove(folder, name):
            self._done.add(entry)
        return True

    def _read(self, folder: int, name: str) -> Settlement:
        try:
            return self._folder.read(folder, name)
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno in _TRANSIENT:
                raise
            raise _RefusedError(error.strerror or str(error)) from None
        except NewerVersionError:
            raise
        except ValueError:  # Its text quotes the file.
            raise _RefusedError("not a settlement of this version") from None

    def _keep(self, settlement: Settlement, first: bool) -> bool:
        """Write a settlement to the disk; return whether that worked."""
        try:
            with self._folder.opened() as folder:
                self._folder.write(folder, settlement)
        except OSError as error:
            if first:
                what = error.strerror or str(error)
                event(log, "result_not_on_disk", logging.ERROR, job_id=settlement.job_id, error=what)
            return False
        event(log, "result_on_disk", logging.WARNING, job_id=settlement.job_id)
        return True

    def _remove(self, settlement: Settlement) -> None:
        """Remove the file of a settlement that Redis has; a file that stays is written again, which changes nothing."""
        with suppress(OSError), self._folder.opened() as folder:
            self._folder.remove(folder, file_name(settlement))

    def _refuse(self, settlement: Settlement, kept: bool, why: str) -> None:
        """Keep a settlement that Redis refuses in a place where an operator finds it."""
        moved = False
        with suppress(OSError), self._folder.opened() as folder:
            if not kept:
                self._folder.write(folder, settlement)
            moved = self._folder.set_aside(folder, file_name(settlement))
        event(log, "settlement_refused", logging.ERROR, job_id=settlement.job_id, why=why, moved=moved)

    def _log_once(self, name: str, **fields: str) -> None:
        """Log an event of every round only once; the number of such lines is bounded."""
        key = name + fields.get("deployment", "")
        if key not in self._logged and len(self._logged) < _MOST_LOGGED:
            self._logged.add(key)
            event(log, name, logging.WARNING, **fields)


def _send(connection: redis.Redis, settlement: Settlement, key: str) -> Settled:
    """Write one settlement to Redis if it is signed with the key; raise RedisError to try again later."""
    if not settlement.is_signed_with(key):
        raise _RefusedError("not signed by a worker of this deployment")
    try:
        answer = settle_sync(connection, settlement)
    except RedisError as error:
        if is_refusal(error):
            raise _RefusedError("refused by Redis") from None
        raise
    # A copy of a Redis has its id, and not all of its jobs.
    if answer == "void" and not knows(connection, settlement.job_id):
        raise _RefusedError("its job is unknown to Redis")
    return answer
