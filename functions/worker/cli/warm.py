"""A warm CLI: one that has started and said hello, waiting in its slot for a job with the default options."""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from functions.worker.cli import mcp_servers
from functions.worker.cli.options import options_for
from functions.worker.cli.plan import RunPlan, plan_for
from functions.worker.cli.process import Cli
from functions.worker.cli.workspace import Workspace
from functions.worker.relay.credential import Credential
from functions.worker.relay.relay import Relay
from shared.configuration.settings import WorkerSettings
from shared.logs import event
from shared.store.jobs.sessions import StagedSession

log = logging.getLogger("worker.warm")

# One that waited this long is replaced: what it read at its start, such as a token, may be out of date; s.
_OLD = 600.0
# A job's own CLI takes a core until its request has left: the next one is started when that is over, or the job; s.
_ALONE = 0.5
# One that ends by itself is replaced at once the first time, then later and later; s.
_BACKOFF_FIRST, _BACKOFF_LAST = 0.5, 60.0


@dataclass(slots=True)
class _Spare:
    cli: Cli
    ready: bool = False
    born: float = 0.0

    @property
    def usable(self) -> bool:
        return not self.cli.failed and (self.cli.pid is None or self.cli.alive)


class WarmCli:
    """Keeps one CLI ready as long as `run` runs; without it, or with CLAUDE_WARM=false, each job starts its own.

    One is used as soon as it is there: a job that comes while it starts waits for the rest of its start.
    """

    def __init__(self, settings: WorkerSettings, relay: Relay | None = None) -> None:
        self._settings = settings
        self.relay = relay
        self._spare: _Spare | None = None
        self._taken = asyncio.Event()
        self._left = asyncio.Event()
        self._default = plan_for({}, settings)

    def take(self, plan: RunPlan, session: StagedSession | None = None) -> Cli:
        """Return a CLI for a run, which is the caller's to end: the warm one if it fits, else one to be started.

        It is to be followed by `leave`.
        """
        spare = self._spare
        if spare is not None and spare.usable and self._is_default(plan):
            self._spare = None
            self._left.clear()
            self._taken.set()
            return spare.cli
        return self._new(plan, session)

    def leave(self) -> None:
        """Let the next one be started at once: whoever took the last needs no core to itself any more."""
        self._left.set()

    async def spared(self) -> set[int]:
        """Return the processes that belong to no run; waits while one is being born, for it has no number yet."""
        # Between the fork and a later turn of the loop there is a process that only the kernel knows of, and the SDK
        # tells nobody when it has its number.
        while (spare := self._spare) is not None and spare.cli.pid is None and not spare.cli.failed:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        return set() if spare is None or spare.cli.pid is None else {spare.cli.pid}

    async def run(self) -> None:
        """Keep one ready until cancelled."""
        pause = 0.0
        while self._settings.claude_warm:
            await asyncio.sleep(pause)
            lasted = False
            try:
                lasted = await self._one()
            except Exception as error:  # noqa: BLE001 -- a CLI that does not start breaks the SDK in any way it likes
                event(log, "warm_cli_failed", logging.WARNING, error=type(error).__name__)
            pause = 0.0 if lasted else min(max(pause * 2, _BACKOFF_FIRST), _BACKOFF_LAST)

    async def _one(self) -> bool:
        """Keep one until it is taken and may be followed, old or dead; return whether it was of use."""
        spare = self._spare = _Spare(self._new(self._default))
        self._taken.clear()
        starting, taken = spare.cli.begin(), asyncio.create_task(self._taken.wait())
        try:
            # Not cancelled with this: halfway through its start it would be left running.
            await asyncio.wait({starting, taken}, return_when=asyncio.FIRST_COMPLETED)
            if not taken.done():
                starting.result()
                spare.ready, spare.born = True, time.monotonic()
                await self._taken_old_or_dead(taken, spare.cli)
        finally:
            taken.cancel()
            was_taken = self._spare is not spare
            if not was_taken:
                await self.spared()  # by then it has its number
                self._spare = None
                await spare.cli.kill()
                starting.cancel()  # the SDK would go on waiting for its hello
                await asyncio.wait({starting})
        if was_taken:
            with suppress(TimeoutError):
                async with asyncio.timeout(_ALONE):
                    await self._left.wait()
        return was_taken or (spare.ready and time.monotonic() - spare.born >= _OLD)

    async def _taken_old_or_dead(self, taken: "asyncio.Task[Any]", cli: Cli) -> None:
        ended = asyncio.create_task(cli.wait())
        try:
            await asyncio.wait({taken, ended}, timeout=_OLD, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            with suppress(asyncio.CancelledError):
                await ended

    def _new(self, plan: RunPlan, session: StagedSession | None = None) -> Cli:
        workspace = Workspace.create()
        if plan.options.system_prompt is not None:
            workspace.system_prompt.write_text(plan.options.system_prompt, encoding="utf-8", newline="")
        mcp_servers.write(workspace.servers, plan.mcp.servers)
        line = None if self.relay is None else self.relay.line()
        return Cli(workspace, options_for(plan, self._settings, workspace, session, self._credential), line)

    def _is_default(self, plan: RunPlan) -> bool:
        """Return whether a plan needs no option that the CLI reads only when it starts."""
        anywhere = Workspace.nowhere()
        asked, default = (
            options_for(one, self._settings, anywhere, credential=self._credential) for one in (plan, self._default)
        )
        return asked == default

    @property
    def _credential(self) -> Credential | None:
        return None if self.relay is None else self.relay.credential
