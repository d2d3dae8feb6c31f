"""One run of the CLI: it carries out a plan, returns a report, and leaves no process and no file."""

import asyncio
import logging
import os
from collections.abc import Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from claude_agent_sdk import CLIJSONDecodeError
from redis.exceptions import RedisError

from functions.worker.cli import mcp_servers, resources
from functions.worker.cli.environment import uses_cloud
from functions.worker.cli.gate import Gate
from functions.worker.cli.inputs import Inputs, InputsError
from functions.worker.cli.kept_session import CallNotFoundError, SessionNotFoundError, kept_session
from functions.worker.cli.plan import RunPlan
from functions.worker.cli.preparation import Preparation
from functions.worker.cli.process import GRACE, Cli
from functions.worker.cli.prompt import messages_of
from functions.worker.cli.publisher import Publisher
from functions.worker.cli.report import Report, Structured
from functions.worker.cli.resuming import note_question, reading_for
from functions.worker.cli.skills import SkillUnavailableError
from functions.worker.cli.stream import Reading, read_messages
from functions.worker.cli.structured import Check
from functions.worker.cli.tools import run_commands
from functions.worker.cli.turns import Block
from functions.worker.cli.usage import Meter
from functions.worker.cli.warm import WarmCli
from functions.worker.git.shell import WorkspaceError
from functions.worker.relay.plan import policy_for
from functions.worker.relay.run import RelayedRun, Watcher
from functions.worker.sandbox.confine import SandboxUnavailableError
from shared.api.steps import as_json
from shared.api.vocabulary import ErrorCode
from shared.configuration.settings import WorkerSettings
from shared.logs import event
from shared.store.callers.spending import Spend
from shared.store.jobs.sessions import StagedSession

log = logging.getLogger("worker.claude")

# Seconds after the first request in which an answer may come that the next CLI's start would delay.
_ANSWERS_AT_ONCE = 0.1
_NO_RELAY = (
    "workspace.git is not possible where runs reach Claude through Bedrock, Vertex AI or Foundry: git needs the "
    "gateway's relay, which such a deployment does not use"
)
_NO_CLIENT_TOOLS = (
    "A client's own tools are not possible where runs reach Claude through Bedrock, Vertex AI or Foundry: they need "
    "the gateway's relay, which such a deployment does not use"
)


class Run:
    """A run, from `answer` to `end`. The caller must call `end`, even after an error."""

    def __init__(
        self, settings: WorkerSettings, warm: WarmCli, watcher: Watcher | None = None, inputs: Inputs | None = None
    ) -> None:
        self._settings = settings
        self._watcher = watcher or Watcher()
        self._warm = warm
        self._cli: Cli | None = None
        self._conversation: asyncio.Task[None] | None = None
        self._report = Report(meter=Meter(), is_free=settings.demo_model)
        self._needs_exit_time = True
        self._stopped = False
        self.preparation = Preparation(warm.shell, settings, inputs, self._watcher)

    async def answer(
        self,
        plan: RunPlan,
        publisher: Publisher | None = None,
        session: StagedSession | None = None,
        deadline: float | None = None,
        gate: Gate | None = None,
    ) -> Report:
        """Carry out a plan and return the report; `publisher` takes what the run does meanwhile.

        The relay retries until the deadline, on the loop's clock. To stop a run, cancel this and then call `end`.
        """
        if self._warm.relay is None and (refused := _refused_without_relay(plan)):
            return refused
        # A tool or an MCP server may need time to exit, and a session time to be stored; a plain answer does not.
        self._needs_exit_time = plan.uses_tools or plan.session is not None
        try:
            attached = await self.preparation.attached()
            kept = await kept_session(plan, session, attached, gate)
        except InputsError as error:
            return Report(failure=error.code, message=error.message)
        except (RedisError, CallNotFoundError):
            return Report(failure="server_error")
        except SessionNotFoundError:
            return Report(failure="session_not_found")
        try:
            cli = self._cli = self._warm.take(plan, kept, gate)
        except SandboxUnavailableError:
            # The queue gives such a job to no worker like this one.
            event(log, "sandbox_unavailable", logging.ERROR)
            return Report(failure="server_error")
        except SkillUnavailableError as error:
            return Report(failure="invalid_request", message=error.message)
        relayed = self._report.relayed = self._relay(plan, deadline)
        cli.begin_relaying(relayed)
        self._conversation = asyncio.create_task(self._converse(cli, plan, attached, publisher or Publisher(), gate))
        uses_files = plan.uses_tools or plan.git is not None
        watch = resources.exceeded(self._warm.excluded, self._settings, has_tools=uses_files, folder=cli.folder)
        bounds = asyncio.create_task(watch)
        waits = None if relayed is None else asyncio.create_task(self._allow_next_after(relayed))
        try:
            # Not cancelled together with this: `end` ends its processes first, because the SDK waits for them to close.
            first_of: set[asyncio.Future[Any]] = {self._conversation, bounds}
            first_of |= set() if relayed is None else {relayed.ended}
            await asyncio.wait(first_of, return_when=asyncio.FIRST_COMPLETED)
        finally:
            bounds.cancel()
            if waits is not None:
                waits.cancel()
        cli.end_relaying()
        if relayed is not None and relayed.ended.done():
            reason = relayed.ended.result()
            self._report.failure = reason.code
            self._report.retry_after = None if reason.retry_after is None else int(reason.retry_after * 1000)
        elif not self._conversation.done() or (session is not None and session.is_full):
            self._report.failure = "workspace_too_large" if self.preparation.is_cloning else "resource_exceeded"
        return self._report

    async def _allow_next_after(self, relayed: RelayedRun) -> None:
        """Let the next CLI start while this one waits for Claude, unless the answer comes at once."""
        await relayed.requested.wait()
        await asyncio.sleep(_ANSWERS_AT_ONCE)
        self._warm.allow_next()

    def _relay(self, plan: RunPlan, deadline: float | None) -> RelayedRun | None:
        relay = self._warm.relay
        if relay is None:
            return None
        if deadline is None:
            deadline = asyncio.get_running_loop().time() + self._settings.claude_timeout / 1000
        policy = policy_for(plan, self._settings, relay.environ, deadline, relay.credential)
        return RelayedRun(policy, self._watcher, relay.environ)

    @property
    def waits_for(self) -> ErrorCode | None:
        """The error of Claude because of which the relay waits; None when it does not wait."""
        waiting = None if self._report.relayed is None else self._report.relayed.waiting
        return None if waiting is None else waiting.code

    @property
    def spends(self) -> Sequence[Spend]:
        """The cost of the run so far, by model."""
        return self._report.spends

    @property
    def absent(self) -> tuple[str, ...]:
        """The MCP servers that the run expects and that are absent."""
        return self._report.absent

    @property
    def called(self) -> frozenset[str]:
        """The MCP servers whose tools the run has called."""
        return frozenset() if self._cli is None else self._cli.broker.called

    @property
    def seen(self) -> dict[str, Any]:
        """The fields of the job's record that the run has filled so far."""
        return self._report.seen

    @property
    def work(self) -> Path | None:
        """The working directory of a run that has a CLI; it stays until `end`."""
        return None if self._cli is None else self._cli.workspace.work

    async def stop(self) -> None:
        """End the run's processes. Its directories stay. Runs to completion even when cancelled."""
        self._warm.allow_next()
        await _uncancelled(self._end_processes())

    async def end(self) -> None:
        """End the run's processes and remove its directories. Runs to completion even when cancelled."""
        self._warm.allow_next()
        await _uncancelled(self._clear_up())

    async def _converse(
        self, cli: Cli, plan: RunPlan, attached: Sequence[Block], publisher: Publisher, gate: Gate | None
    ) -> None:
        report, schema = self._report, plan.options.output_schema
        # Until the result is known to fit the schema.
        report.structured = None if schema is None else Structured(fits=False)
        check = None if schema is None else Check(schema)
        try:
            await self._start(cli, plan, gate)
            expected = mcp_servers.Expected(plan.mcp, cli.broker.gone, cli.broker.cut)
            if plan.resumption is None:
                await cli.send(messages_of(plan.prompt, attached))
            await self._read(cli, reading_for(plan, publisher, expected, gate, self._watcher), gate)
            note_question(report, gate)
            if report.envelope is None:
                # Not at `end`, which may come later: the CLI's own retry starts half a second after its announcement.
                cli.kill_cli()
            elif check is not None and report.question is None:
                report.structured = await check.result(report.structured_input)
        except (InputsError, WorkspaceError) as error:
            report.failure, report.message = error.code, error.message
        except CLIJSONDecodeError as error:
            report.failure = "output_too_large" if "maximum buffer size" in str(error) else "cli_crashed"
        except Exception as error:  # noqa: BLE001 -- a broken CLI makes the SDK raise anything
            # An envelope that was received before stays valid; without one the CLI crashed.
            if report.relayed is None or not report.relayed.ended.done():
                event(log, "cli_failed", logging.WARNING, error=type(error).__name__)
            if cli.refused_schema:
                report.failure = "invalid_request"
        finally:
            if check is not None:
                await check.close()

    async def _start(self, cli: Cli, plan: RunPlan, gate: Gate | None) -> None:
        """Start the CLI and fill its working directory."""
        if gate is not None and plan.resumption is not None:
            # The CLI makes the decided call as soon as it has started.
            await self.preparation.prepare(cli.folder, plan)
            gate.open_network = partial(self._open_network, cli)
            await cli.start()
            return
        await cli.start()
        # Into the directory of a CLI that waits, so that a warm one can be used.
        await self.preparation.prepare(cli.folder, plan)
        self._open_network(cli)

    def _open_network(self, cli: Cli) -> None:
        """Let the tools of a run in a sandbox reach the hosts of the run, once."""
        relayed, is_confined = self._report.relayed, self._warm.sandbox.kind == "namespaces"
        if relayed is not None and relayed.egress is not None and is_confined:
            cli.open_network()

    async def _read(self, cli: Cli, reading: Reading, gate: Gate | None) -> None:
        """Read the messages of a CLI that has its prompt, and give it the messages to the job meanwhile."""
        giving = asyncio.create_task(reading.steering.give(cli.send))
        giving.add_done_callback(lambda task: task.cancelled() or task.exception())  # the CLI may have exited
        try:
            await read_messages(cli.messages(), self._report, self._settings, reading)
        finally:
            giving.cancel()
            self._report.messages = reading.steering.received
            if waiting := reading.steps.close("" if gate is None else gate.call_id):
                self._report.step = as_json(waiting)

    async def _clear_up(self) -> None:
        await self._end_processes()
        if self._cli is not None:
            await self._cli.close()

    async def _end_processes(self) -> None:
        cli, conversation = self._cli, self._conversation
        if cli is None or conversation is None or self._stopped:
            return
        if self._needs_exit_time and conversation.done() and self._report.envelope is not None:
            await cli.wait_for_exit()
        # Before its child processes: the CLI would report a tool that ends to the model.
        cli.kill_cli()
        await cli.end(self._warm.excluded)
        # It ends as after a crash. Cancel one that has not started a process yet.
        if not (await asyncio.wait({conversation}, timeout=GRACE))[0]:
            conversation.cancel()
            await asyncio.wait({conversation})
            await cli.end(self._warm.excluded)
        self._stopped = True


def _refused_without_relay(plan: RunPlan) -> Report | None:
    """Return the report of a run that needs the relay; None for any other."""
    if uses_cloud(os.environ) and run_commands(plan.options.tools):
        # Without the relay the CLI's environment holds the provider's credentials, which such a tool can read.
        return Report(failure="invalid_request")
    if plan.git is not None:
        return Report(failure="workspace_failed", message=_NO_RELAY)
    if plan.client_tools is not None:
        return Report(failure="invalid_request", message=_NO_CLIENT_TOOLS)
    return None


async def _uncancelled(work: Coroutine[Any, Any, None]) -> None:
    """Await work to completion; raise a cancellation that arrives meanwhile afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
