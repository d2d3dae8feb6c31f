"""Keeps one CLI that is started and waits for its job."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from functions.worker.cli.process import Cli
from shared.logs import event

log = logging.getLogger("worker.warm")

# Seconds after which a waiting CLI is replaced: what it read at its start, such as a token, may be out of date.
_MAX_AGE = 600.0
# Seconds until the next CLI starts, unless it may before: a job's CLI needs a core until its request is sent. A relay
# sees that; without one it is a guess.
_START_DELAY, _START_DELAY_WITHOUT_RELAY = 2.0, 0.5
# Seconds before a CLI that exited by itself is replaced; the pause doubles with each failure.
_BACKOFF_FIRST, _BACKOFF_LAST = 0.5, 60.0


class Keeper:
    """Keeps one CLI of a kind ready while `run` runs: from `want` on, until one has waited too long for a job."""

    def __init__(self, make: Callable[[], Cli], may_start: asyncio.Event, *, is_relayed: bool) -> None:
        self._make, self._may_start = make, may_start
        self._start_delay = _START_DELAY if is_relayed else _START_DELAY_WITHOUT_RELAY
        self._wanted, self._taken = asyncio.Event(), asyncio.Event()
        self._cli: Cli | None = None

    def want(self) -> None:
        """Keep a CLI from now on."""
        self._wanted.set()

    @property
    def cli(self) -> Cli | None:
        """The CLI that waits, or is being started."""
        return self._cli

    @property
    def is_ready(self) -> bool:
        """Whether a CLI waits whose start is complete."""
        return self._cli is not None and self._cli.is_ready

    def take(self) -> Cli | None:
        """Return the CLI that waits, which is the caller's to end; None when there is none."""
        cli = self._cli
        if cli is None or cli.failed or (cli.pid is not None and not cli.alive):
            return None
        self._cli = None
        self._taken.set()
        return cli

    async def excluded(self) -> set[int]:
        """Return the process that belongs to no run. Wait while it is being spawned, until its id is known."""
        # Between the fork and a later iteration of the loop, only the kernel knows the process, and the SDK does not
        # signal when it has the id.
        while (cli := self._cli) is not None and cli.pid is None and not cli.failed:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        return set() if cli is None or cli.pid is None else {cli.pid}

    async def run(self, *, for_ever: bool) -> None:
        """Keep one CLI ready until cancelled; unless `for_ever`, replace none that got no job."""
        pause = 0.0
        while True:
            await self._wanted.wait()
            await asyncio.sleep(pause)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._start_delay):
                    await self._may_start.wait()
            lasted = False
            try:
                lasted = await self._keep_one(for_ever=for_ever)
            except Exception as error:  # noqa: BLE001 -- a CLI that does not start makes the SDK raise anything
                event(log, "warm_cli_failed", logging.WARNING, error=type(error).__name__)
            pause = 0.0 if lasted else min(max(pause * 2, _BACKOFF_FIRST), _BACKOFF_LAST)

    async def _keep_one(self, *, for_ever: bool) -> bool:
        """Keep one CLI until it is taken, old or dead. Return whether it was taken or old."""
        cli = self._cli = self._make()
        self._taken.clear()
        started_at = time.monotonic()
        starting, taken = cli.begin(), asyncio.create_task(self._taken.wait())
        ended: asyncio.Task[None] | None = None
        try:
            # Not cancelled together with this: a start that is cancelled halfway leaves the process running.
            await asyncio.wait({starting, taken}, return_when=asyncio.FIRST_COMPLETED)
            if not taken.done():
                starting.result()
                ended = asyncio.create_task(cli.wait())
                await asyncio.wait({taken, ended}, timeout=_MAX_AGE, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in filter(None, (taken, ended)):
                task.cancel()
                await asyncio.wait({task})
            was_taken = self._cli is not cli
            if not was_taken:
                await self.excluded()  # returns when the process id is known
                self._cli = None
                await cli.kill()
                await asyncio.wait({starting})
        is_old = time.monotonic() - started_at >= _MAX_AGE
        if is_old and not was_taken and not for_ever:
            self._wanted.clear()
        return was_taken or is_old
