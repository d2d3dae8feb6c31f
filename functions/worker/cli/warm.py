"""A warm CLI: started and initialized, it waits in its slot for a job with the default options."""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from functions.worker.cli.history import HistorySession
from functions.worker.cli.mcp_broker import Broker
from functions.worker.cli.options import options_for
from functions.worker.cli.plan import RunPlan, plan_for
from functions.worker.cli.process import Cli
from functions.worker.cli.workspace import Workspace
from functions.worker.relay.credential import Credential
from functions.worker.relay.relay import Relay
from functions.worker.sandbox.confine import Sandbox
from shared.configuration.settings import WorkerSettings
from shared.logs import event
from shared.store.jobs.sessions import StagedSession

log = logging.getLogger("worker.warm")

# Seconds after which a warm CLI is replaced: what it read at its start, such as a token, may be out of date.
_MAX_AGE = 600.0
# Seconds until the next CLI starts, unless the job ends before: a job's CLI needs a core until its request is sent.
_START_DELAY = 0.5
# Seconds before a CLI that exited by itself is replaced; the pause doubles with each failure.
_BACKOFF_FIRST, _BACKOFF_LAST = 0.5, 60.0


@dataclass(slots=True)
class _Spare:
    cli: Cli
    ready: bool = False
    started_at: float = 0.0

    @property
    def usable(self) -> bool:
        return not self.cli.failed and (self.cli.pid is None or self.cli.alive)


class WarmCli:
    """Keeps one CLI ready while `run` runs; without it, or with CLAUDE_WARM=false, each job starts its own.

    A job that arrives while the warm CLI starts waits for the rest of the start.
    """

    def __init__(self, settings: WorkerSettings, relay: Relay | None = None, sandbox: Sandbox | None = None) -> None:
        self._settings = settings
        self._sandbox = sandbox or Sandbox("off")
        self.relay = relay
        self._spare: _Spare | None = None
        self._taken = asyncio.Event()
        self._next_allowed = asyncio.Event()
        self._default = plan_for({}, settings)

    def take(self, plan: RunPlan, session: StagedSession | HistorySession | None = None) -> Cli:
        """Return a CLI for a run: the warm one if it fits, else one that is not started yet.

        The caller ends the CLI, and then calls `allow_next`.
        """
        spare = self._spare
        if spare is not None and spare.usable and self._is_default(plan):
            self._spare = None
            self._next_allowed.clear()
            self._taken.set()
            return spare.cli
        return self._new(plan, session)

    def allow_next(self) -> None:
        """Let the next CLI start at once: the run that took the last one no longer needs a core of its own."""
        self._next_allowed.set()

    async def excluded(self) -> set[int]:
        """Return the processes that belong to no run. Wait while one is being spawned, until its id is known."""
        # Between the fork and a later iteration of the loop, only the kernel knows the process, and the SDK does not
        # signal when it has the id.
        while (spare := self._spare) is not None and spare.cli.pid is None and not spare.cli.failed:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        return set() if spare is None or spare.cli.pid is None else {spare.cli.pid}

    async def run(self) -> None:
        """Keep one CLI ready until cancelled."""
        pause = 0.0
        while self._settings.claude_warm:
            await asyncio.sleep(pause)
            lasted = False
            try:
                lasted = await self._keep_one()
            except Exception as error:  # noqa: BLE001 -- a CLI that does not start makes the SDK raise anything
                event(log, "warm_cli_failed", logging.WARNING, error=type(error).__name__)
            pause = 0.0 if lasted else min(max(pause * 2, _BACKOFF_FIRST), _BACKOFF_LAST)

    async def _keep_one(self) -> bool:
        """Keep one CLI until it is taken, old or dead. Return whether it was taken or old."""
        spare = self._spare = _Spare(self._new(self._default))
        self._taken.clear()
        starting, taken = spare.cli.begin(), asyncio.create_task(self._taken.wait())
        try:
            # Not cancelled together with this: a start that is cancelled halfway leaves the process running.
            await asyncio.wait({starting, taken}, return_when=asyncio.FIRST_COMPLETED)
            if not taken.done():
                starting.result()
                spare.ready, spare.started_at = True, time.monotonic()
                await self._wait_taken_old_or_dead(taken, spare.cli)
        finally:
            taken.cancel()
            was_taken = self._spare is not spare
            if not was_taken:
                await self.excluded()  # returns when the process id is known
                self._spare = None
                await spare.cli.kill()
                starting.cancel()  # the SDK would wait for the initialization forever
                await asyncio.wait({starting})
        if was_taken:
            with suppress(TimeoutError):
                async with asyncio.timeout(_START_DELAY):
                    await self._next_allowed.wait()
        return was_taken or (spare.ready and time.monotonic() - spare.started_at >= _MAX_AGE)

    async def _wait_taken_old_or_dead(self, taken: "asyncio.Task[Any]", cli: Cli) -> None:
        ended = asyncio.create_task(cli.wait())
        try:
            await asyncio.wait({taken, ended}, timeout=_MAX_AGE, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            with suppress(asyncio.CancelledError):
                await ended

    def _new(self, plan: RunPlan, session: StagedSession | HistorySession | None = None) -> Cli:
        self._sandbox.check(has_tools=bool(plan.options.tools))
        workspace = Workspace.create()
        if plan.options.system_prompt is not None:
            workspace.system_prompt.write_text(plan.options.system_prompt, encoding="utf-8", newline="")
        broker = Broker(plan.mcp.servers, workspace.root)
        line = None if self.relay is None else self.relay.line()
        options = options_for(plan, self._settings, workspace, session, self._credential)
        options = replace(options, mcp_servers=broker.configuration())
        return Cli(workspace, self._sandbox.confine(options, workspace.root), line, broker)

    def _is_default(self, plan: RunPlan) -> bool:
        """Return whether a plan needs no option that the CLI reads only when it starts."""
        workspace = Workspace.placeholder()
        needed, default = (
            options_for(one, self._settings, workspace, credential=self._credential) for one in (plan, self._default)
        )
        return needed == default

    @property
    def _credential(self) -> Credential | None:
        return None if self.relay is None else self.relay.credential
