"""The waiting CLIs of a slot: one for any job, and one that continues a session where the slot has seen sessions."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any, cast
from uuid import uuid4

from claude_agent_sdk import ClaudeAgentOptions
from claude_agent_sdk.types import SessionStore

from functions.worker.cli import late, version
from functions.worker.cli.held import Keeper
from functions.worker.cli.options import as_given_late, options_for, options_of_held
from functions.worker.cli.plan import RunPlan
from functions.worker.cli.process import Cli
from functions.worker.cli.transcripts import Line, RenamedSession, place
from functions.worker.cli.workspace import Workspace
from functions.worker.mcp.broker import Broker
from functions.worker.mcp.shared import SharedServers
from functions.worker.relay.credential import Credential
from functions.worker.relay.relay import Relay
from functions.worker.sandbox.confine import Sandbox
from functions.worker.sandbox.policy import WORK
from shared.configuration.settings import WorkerSettings
from shared.store.jobs.sessions import StagedSession


@dataclass(frozen=True, slots=True)
class KeptSession:
    """The session of a run: its store, and what it continues; `is_whole` says that there are no other transcripts."""

    store: StagedSession
    lines: list[Line] | None = None
    is_whole: bool = True


class WarmCli:
    """Keeps CLIs ready while `run` runs; without it, or with CLAUDE_WARM=false, each job starts its own."""

    def __init__(self, settings: WorkerSettings, relay: Relay | None = None, sandbox: Sandbox | None = None) -> None:
        self._settings = settings
        self._sandbox = sandbox or Sandbox("off")
        self.relay = relay
        self.shared = SharedServers(settings)
        self._may_start = asyncio.Event()
        self._may_start.set()
        # The tools of the waiting CLIs; None where the CLI takes no options after its start, or `run` has not begun.
        self._tools: tuple[str, ...] | None = None
        # The session ids with which the waiting CLIs have been started.
        self._resumes: dict[Cli, str] = {}
        self.any_job = Keeper(self._held, self._may_start, is_relayed=relay is not None)
        self.continued = Keeper(self._held_for_session, self._may_start, is_relayed=relay is not None)

    def take(self, plan: RunPlan, session: KeptSession | None = None) -> Cli:
        """Return a CLI for a run: a waiting one if one fits, else one that is not started yet.

        The caller ends the CLI, and calls `allow_next` when the next may start.
        """
        self._sandbox.check(has_tools=bool(plan.options.tools))
        self._may_start.clear()
        if session is not None and self._tools is not None:
            self.continued.want()
        keeper = self.any_job if plan.session is None or plan.session.resumes is None else self.continued
        waiting = keeper.cli
        fits = None if waiting is None else self._late(plan, session, waiting)
        if waiting is not None and fits is not None and keeper.take() is waiting:
            self._give(waiting, plan, session, *fits)
            return waiting
        return self._cold(plan, session)

    @property
    def has_network(self) -> bool:
        """Whether tools may have a network, which their sandbox has only by the relay."""
        return self._sandbox.has_network

    def allow_next(self) -> None:
        """Let the next CLI start at once: the run that took the last one no longer needs a core of its own."""
        self._may_start.set()

    async def excluded(self) -> set[int]:
        """Return the processes that belong to no run."""
        waiting = await self.any_job.excluded() | await self.continued.excluded()
        # Between the fork and a later iteration of the loop, only the kernel knows the process.
        while self.shared.is_spawning:  # noqa: ASYNC110 -- nothing signals when its id is known
            await asyncio.sleep(0.001)
        return waiting | self.shared.pids

    async def run(self) -> None:
        """Keep CLIs ready until cancelled."""
        if not self._settings.claude_warm:
            return
        if late.is_supported(await asyncio.to_thread(version.of_cli, self._settings)):
            self._tools = self._settings.claude_tools if self._sandbox.takes_tools else ()
        self.any_job.want()
        async with asyncio.TaskGroup() as both:
            both.create_task(self.any_job.run(for_ever=True))
            both.create_task(self.continued.run(for_ever=False))

    def _late(
        self, plan: RunPlan, session: KeptSession | None, cli: Cli
    ) -> tuple[ClaudeAgentOptions, late.Late] | None:
        """Return the options of a run and what a waiting CLI receives of them; None when it cannot run it."""
        options = as_given_late(options_for(plan, self._settings, cli.workspace, credential=self._credential), plan)
        named: dict[str, Any] = dict.fromkeys(plan.mcp.servers)
        options = replace(options, mcp_servers=named)
        started = options_of_held(self._settings, cli.workspace, self._credential, tools=self._tools)
        if not late.fits(options, started, is_relayed=self.relay is not None):
            return None
        given = late.late_for(options, started)
        if self._tools is None:
            return (options, given) if session is None and plan.session is None and given == late.Late() else None
        return (options, given) if session is None or session.is_whole else None

    def _give(
        self, cli: Cli, plan: RunPlan, session: KeptSession | None, options: ClaudeAgentOptions, given: late.Late
    ) -> None:
        """Give a waiting CLI the options of its job."""
        workspace = cli.workspace
        broker = Broker(plan.mcp.servers, workspace.root, self.shared)
        options = replace(options, mcp_servers=broker.configuration())
        if session is not None and plan.session is not None:
            resumes = self._resumes.pop(cli, None)
            if resumes is not None and session.lines is not None:
                inside = WORK if self._sandbox.kind == "namespaces" else workspace.work
                place(session.lines, workspace.config, inside, resumes)
            copied = session.lines if plan.session.is_fork else None
            store = RenamedSession(session.store, plan.session.session_id, copied)
            options = replace(options, session_store=cast("SessionStore", store))
        cli.give(options, given, broker, lambda: self._cold_options(plan, workspace, broker, session))

    def _held(self, resumes: str | None = None) -> Cli:
        workspace = Workspace.create()
        options = options_of_held(self._settings, workspace, self._credential, tools=self._tools, resumes=resumes)
        confined = self._sandbox.confine(options, workspace.root)
        line = None if self.relay is None else self.relay.line()
        # One that continues a session takes no request before `initialize`.
        return Cli(workspace, confined, line, held=True, rehearses=resumes is None and self._tools is not None)

    def _held_for_session(self) -> Cli:
        resumes = str(uuid4())
        cli = self._held(resumes)
        self._resumes = {cli: resumes}
        return cli

    def _cold(self, plan: RunPlan, session: KeptSession | None) -> Cli:
        workspace = Workspace.create()
        broker = Broker(plan.mcp.servers, workspace.root, self.shared)
        line = None if self.relay is None else self.relay.line()
        return Cli(workspace, self._cold_options(plan, workspace, broker, session), line, broker)

    def _cold_options(
        self, plan: RunPlan, workspace: Workspace, broker: Broker, session: KeptSession | None
    ) -> ClaudeAgentOptions:
        if plan.options.system_prompt is not None:
            workspace.system_prompt.write_text(plan.options.system_prompt, encoding="utf-8", newline="")
        store = None if session is None else session.store
        options = options_for(plan, self._settings, workspace, store, self._credential)
        return self._sandbox.confine(replace(options, mcp_servers=broker.configuration()), workspace.root)

    @property
    def _credential(self) -> Credential | None:
        return None if self.relay is None else self.relay.credential
