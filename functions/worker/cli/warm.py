"""The waiting CLIs of a slot: one for any job, and one that continues a session where the slot has seen sessions.

Where a slot has two cores and its jobs follow each other faster than a CLI starts, it keeps a second one for any job.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from claude_agent_sdk import ClaudeAgentOptions
from claude_agent_sdk.types import SessionStore

from functions.worker.cli import late, skills, version
from functions.worker.cli.gate import Gate
from functions.worker.cli.held import Keeper
from functions.worker.cli.history import HistorySession
from functions.worker.cli.options import as_given_late, options_for, options_of_held
from functions.worker.cli.plan import RunPlan
from functions.worker.cli.process import Cli
from functions.worker.cli.transcripts import PausableSession, RenamedSession, place
from functions.worker.cli.workspace import Workspace
from functions.worker.git.shell import Shell
from functions.worker.mcp.broker import Broker
from functions.worker.mcp.reading import ToolReader
from functions.worker.mcp.shared import SharedServers
from functions.worker.relay.credential import Credential
from functions.worker.relay.models import resolve
from functions.worker.relay.prices import base_name
from functions.worker.relay.relay import Relay
from functions.worker.sandbox.confine import Sandbox
from functions.worker.sandbox.policy import WORK
from shared.configuration.settings import WorkerSettings
from shared.host import cores
from shared.store.jobs.sessions import Line, StagedSession

# Cores of each slot for which it keeps two CLIs: the start of one takes a core, and a job's own CLI another.
_CORES_OF_TWO = 2


@dataclass(frozen=True, slots=True)
class KeptSession:
    """The session of a run: its store, and what it continues; `is_whole` says that there are no other transcripts."""

    store: StagedSession | HistorySession | PausableSession
    lines: list[Line] | None = None
    is_whole: bool = True

    def fits(self, model: str | None, environ: Mapping[str, str]) -> bool:
        """Return whether a waiting CLI can continue it, which receives this model late, or none.

        The CLI writes a change of model into the conversation, where the model reads it.
        """
        lines = reversed(self.lines or ())
        last = next((line["message"].get("model") for line in lines if line.get("type") == "assistant"), None)
        if model is None or last is None:
            return self.is_whole
        return self.is_whole and base_name(resolve(last, environ)) == base_name(resolve(model, environ))


class WarmCli:
    """Keeps CLIs ready while `run` runs; without it, or with CLAUDE_WARM=false, each job starts its own."""

    def __init__(self, settings: WorkerSettings, relay: Relay | None = None, sandbox: Sandbox | None = None) -> None:
        self._settings = settings
        self.sandbox = sandbox or Sandbox("off")
        self.relay = relay
        self.shared = SharedServers(settings)
        self.tool_reader = ToolReader(settings)
        self._may_start = asyncio.Event()
        self._may_start.set()
        # The tools of the waiting CLIs; None where the CLI takes no options after its start, or `run` has not begun.
        self._tools: tuple[str, ...] | None = None
        # The session ids with which the waiting CLIs have been started.
        self._resumes: dict[Cli, str] = {}
        self.any_job = Keeper(self._held, self._may_start, is_relayed=relay is not None)
        self.second = Keeper(self._held, self._may_start, is_relayed=relay is not None)
        self._has_cores = cores.available() >= _CORES_OF_TWO * settings.queue_concurrency
        self.continued = Keeper(self._held_for_session, self._may_start, is_relayed=relay is not None)

    def take(self, plan: RunPlan, session: KeptSession | None = None, gate: Gate | None = None) -> Cli:
        """Return a CLI for a run: a waiting one if one fits, else one that is not started yet.

        The caller ends the CLI, and calls `allow_next` when the next may start. Raises SandboxUnavailableError and
        SkillUnavailableError.
        """
        self.sandbox.check(has_tools=bool(plan.options.tools or plan.git))
        skills.check(plan.options.skills)
        self._may_start.clear()
        if gate is not None:
            # Permission mode and rules are options of the start.
            return self._cold(plan, session, gate)
        if session is not None and self._tools is not None:
            self.continued.want()
        if session is not None and session.lines is not None:
            keepers = [self.continued]
        else:
            keepers = sorted((self.any_job, self.second), key=lambda one: not one.is_ready)
            if self._has_cores and not keepers[0].is_ready:
                self.second.want()
        for keeper in keepers:
            waiting = keeper.cli
            fits = None if waiting is None else self._late(plan, session, waiting)
            if waiting is not None and fits is not None and keeper.take() is waiting:
                self._give(waiting, plan, session, *fits)
                return waiting
        return self._cold(plan, session)

    def shell(self, root: Path) -> Shell:
        """Return what runs git for the run whose directory is `root`."""
        return Shell(self.sandbox, root, self._settings.max_workspace_bytes, self._settings.max_run_memory)

    def allow_next(self) -> None:
        """Let the next CLI start at once: the run that took the last one no longer needs a core of its own."""
        self._may_start.set()

    async def excluded(self) -> set[int]:
        """Return the processes that belong to no run."""
        waiting = await self.any_job.excluded() | await self.second.excluded() | await self.continued.excluded()
        # Between the fork and a later iteration of the loop, only the kernel knows the process.
        while self.shared.is_spawning or self.tool_reader.is_spawning:  # noqa: ASYNC110 -- nothing signals when its id is known
            await asyncio.sleep(0.001)
        return waiting | self.shared.pids | self.tool_reader.pids

    async def run(self) -> None:
        """Keep CLIs ready until cancelled."""
        if not self._settings.claude_warm:
            return
        if late.is_supported(await asyncio.to_thread(version.of_cli, self._settings)):
            self._tools = self._settings.claude_tools if self.sandbox.takes_tools else ()
        self.any_job.want()
        async with asyncio.TaskGroup() as all_of_them:
            all_of_them.create_task(self.any_job.run(for_ever=True))
            all_of_them.create_task(self.second.run(for_ever=False))
            all_of_them.create_task(self.continued.run(for_ever=False))

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
        environ = {} if self.relay is None else self.relay.environ
        model = options.model if options.model != started.model else None
        return (options, given) if session is None or session.fits(model, environ) else None

    def _give(
        self, cli: Cli, plan: RunPlan, session: KeptSession | None, options: ClaudeAgentOptions, given: late.Late
    ) -> None:
        """Give a waiting CLI the options of its job."""
        workspace = cli.workspace
        broker = Broker(plan.mcp.servers, workspace.root, self.shared)
        options = replace(options, mcp_servers=broker.configuration())
        resumes = self._resumes.pop(cli, None)
        if session is not None and session.lines is not None and resumes is not None:
            inside = WORK if self.sandbox.kind == "namespaces" else workspace.work
            place(session.lines, workspace.config, inside, resumes)
        if session is not None and plan.session is not None:
            copied = session.lines if plan.session.is_fork or plan.history else None
            # A run that may be paused gets no waiting CLI.
            inner = cast("StagedSession | HistorySession", session.store)
            store = RenamedSession(inner, plan.session.session_id, copied)
            options = replace(options, session_store=cast("SessionStore", store))
        cli.give(options, given, broker, lambda: self._cold_options(plan, workspace, broker, session))

    def _held(self, resumes: str | None = None) -> Cli:
        workspace = Workspace.create()
        options = options_of_held(self._settings, workspace, self._credential, tools=self._tools, resumes=resumes)
        confined = self.sandbox.confine(options, workspace.root)
        line = None if self.relay is None else self.relay.line()
        # One that continues a session takes no request before `initialize`.
        return Cli(workspace, confined, line, held=True, rehearses=resumes is None and self._tools is not None)

    def _held_for_session(self) -> Cli:
        resumes = str(uuid4())
        cli = self._held(resumes)
        self._resumes = {cli: resumes}
        return cli

    def _cold(self, plan: RunPlan, session: KeptSession | None, gate: Gate | None = None) -> Cli:
        workspace = Workspace.create()
        broker = Broker(plan.mcp.servers, workspace.root, self.shared, None if gate is None else gate.permits)
        line = None if self.relay is None else self.relay.line()
        return Cli(workspace, self._cold_options(plan, workspace, broker, session, gate), line, broker)

    def _cold_options(
        self,
        plan: RunPlan,
        workspace: Workspace,
        broker: Broker,
        session: KeptSession | None,
        gate: Gate | None = None,
    ) -> ClaudeAgentOptions:
        if plan.options.system_prompt is not None:
            workspace.system_prompt.write_text(plan.options.system_prompt, encoding="utf-8", newline="")
        if plan.options.skills:
            skills.place(plan.options.skills, workspace.plugin)
        store = None if session is None else session.store
        options = options_for(plan, self._settings, workspace, store, self._credential, gate)
        return self.sandbox.confine(replace(options, mcp_servers=broker.configuration()), workspace.root)

    @property
    def _credential(self) -> Credential | None:
        return None if self.relay is None else self.relay.credential
