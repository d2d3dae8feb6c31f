"""Results on disk for as long as Redis is away: what a run cost is not lost with the worker that waits to tell."""

import asyncio
import logging
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import redis
import redis.asyncio
from redis.exceptions import RedisError

from shared.logs import event
from shared.settings import SettingsError, WorkerSettings
from shared.store.claims import Claim, Settlement, settle, settle_sync

log = logging.getLogger("worker.spool")


def spool_dir(settings: WorkerSettings) -> Path:
    """Return SPOOL_DIR, or its default."""
    return settings.spool_dir or Path(tempfile.gettempdir()) / f"claude-gateway-spool-{os.getuid()}"


_FIRST_WAIT, _LAST_WAIT = 0.1, 2.0


class Spool:
    """A directory of settlements that Redis has not taken yet; every worker that sees it writes what it finds."""

    def __init__(self, folder: Path) -> None:
        """Make the directory unless it is there; raise SettingsError when it is not this user's alone."""
        self._folder = folder
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self._folder.stat()
        except OSError as error:
            raise SettingsError(f"SPOOL_DIR: cannot be used: {error.strerror}") from None
        # In a shared temporary directory anybody could have made it, and could write answers into it.
        if found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise SettingsError("SPOOL_DIR: should belong to the worker's user and be open to nobody else")

    async def settle(
        self, client: redis.asyncio.Redis, claim: Claim, settlement: Settlement, stop: asyncio.Event
    ) -> str:
        """Write a settlement, however long it takes; after `stop` leave it on disk for the next worker.

        Returns `settled`, `held` or `void` as the store does, or `spooled`.
        """
        wait = _FIRST_WAIT
        kept: Path | None = None
        while True:
            try:
                answer = await settle(client, settlement)
            except RedisError:
                if kept is None:
                    kept = await asyncio.to_thread(self._keep, claim, settlement)
                    event(log, "result_on_disk", logging.WARNING, job_id=claim.job_id)
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await stop.wait()
                if stop.is_set():
                    return "spooled"
                wait = min(wait * 2, _LAST_WAIT)
            else:
                if kept is not None:
                    kept.unlink(missing_ok=True)
                return answer

    def write_all(self, connection: redis.Redis) -> None:
        """Write what is there, also what another slot or an earlier worker left; raises RedisError."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                settlement = Settlement.from_json(path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                continue  # its slot was first
            except (ValueError, OSError):
                event(log, "spooled_result_unreadable", logging.ERROR, file=path.name)
                path.rename(path.with_suffix(".unreadable"))
                continue
            settle_sync(connection, settlement)
            path.unlink(missing_ok=True)
            event(log, "spooled_result_written", claim=path.stem)

    def _keep(self, claim: Claim, settlement: Settlement) -> Path:
        path = self._folder / f"{claim}.json"
        # Whole or not at all, and on the disk itself: the machine may go down next.
        with tempfile.NamedTemporaryFile("w", dir=self._folder, delete=False, encoding="utf-8") as file:
            file.write(settlement.to_json())
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(path)
        return path
