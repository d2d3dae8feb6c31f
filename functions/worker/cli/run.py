"""One run of the CLI: a query in, a report of what was seen out, and nothing left behind."""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from claude_agent_sdk import CLIJSONDecodeError
from redis.exceptions import RedisError

from functions.worker.cli import mcp_servers, resources
from functions.worker.cli.environment import uses_cloud
from functions.worker.cli.plan import RunPlan
from functions.worker.cli.process import GRACE, Cli
from functions.worker.cli.prompt import messages_of
from functions.worker.cli.stream import hear
from functions.worker.cli.structured import structured
from functions.worker.cli.tools import run_commands
from functions.worker.cli.usage import Meter
from functions.worker.cli.warm import WarmCli
from functions.worker.jobs.outcome import Report, Structured
from functions.worker.relay.plan import policy_for
from functions.worker.relay.run import RelayedRun, Watcher
from shared.api.vocabulary import ErrorCode
from shared.configuration.settings import WorkerSettings
from shared.logs import event
from shared.store.callers.spending import Spend
from shared.store.jobs.sessions import StagedSession

log = logging.getLogger("worker.claude")


class Run:
    """A run, from `answer` to `end`; whoever makes one has to call `end`, whatever happens."""

    def __init__(self, settings: WorkerSettings, warm: WarmCli, watcher: Watcher | None = None) -> None:
        self._settings = settings
        self._watcher = watcher
        self._warm = warm
        self._cli: Cli | None = None
        self._conversation: asyncio.Task[None] | None = None
        self._report = Report(meter=Meter(), is_free=settings.demo_model)
        self._leaves_something = True

    async def answer(
        self,
        plan: RunPlan,
        on_text: Callable[[str], None],
        session: StagedSession | None = None,
        deadline: float | None = None,
    ) -> Report:
        """Carry out a plan and report what was seen; `on_text` gets the text of the model as it is written.

        The relay retries until the deadline, on the loop's clock. The caller stops a run by cancelling this; then `end`
        ends it.
        """
        if self._warm.relay is None and uses_cloud(os.environ) and run_commands(plan.options.tools):
            # Without the relay the CLI's environment has the provider's credentials, which such a tool could read.
            return Report(failure="invalid_request")
        # A tool or a server may need time to end, and a session to be kept; an answer alone leaves nothing.
        self._leaves_something = plan.uses_tools or plan.session is not None
        resumes = plan.session.resumes if plan.session else None
        try:
            if session is not None and resumes and not await session.exists(resumes):
                return Report(failure="session_not_found")
        except RedisError:
            return Report(failure="server_error")
        cli = self._cli = self._warm.take(plan, session)
        relayed = self._report.relayed = self._relay(plan, deadline)
        cli.begin_relaying(relayed)
        self._conversation = asyncio.create_task(self._converse(cli, plan, on_text))
        bounds = asyncio.create_task(resources.exceeded(self._warm.spared, self._settings, has_tools=plan.uses_tools))
        try:
            # Not cancelled when this is: its processes go first, for the SDK's own way to close is to wait for them.
            over: set[asyncio.Future[Any]] = {self._conversation, bounds}
            over |= set() if relayed is None else {relayed.ended}
            await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
        finally:
            bounds.cancel()
        cli.end_relaying()
        if relayed is not None and relayed.ended.done():
            why = relayed.ended.result()
            self._report.failure = why.code
            self._report.retry_after = None if why.retry_after is None else int(why.retry_after * 1000)
        elif not self._conversation.done():
            self._report.failure = "resource_exceeded"
        return self._report

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
        """The error of Claude's that the relay waits to be over; None when it does not wait."""
        waiting = None if self._report.relayed is None else self._report.relayed.waiting
        return None if waiting is None else waiting.code

    @property
    def spends(self) -> Sequence[Spend]:
        """What it has cost so far."""
        return self._report.spends

    @property
    def absent(self) -> tuple[str, ...]:
        """The MCP servers that it was to have, and that are not there."""
        return self._report.absent

    @property
    def seen(self) -> dict[str, Any]:
        """What the job's record keeps of it so far."""
        return self._report.seen

    async def end(self) -> None:
        """End what the run started and remove its directories, to the last, even if cancelled meanwhile."""
        self._warm.leave()
        await _unhurried(self._clear_up())

    async def _converse(self, cli: Cli, plan: RunPlan, on_text: Callable[[str], None]) -> None:
        report, schema = self._report, plan.options.output_schema
        # Until it has been seen to fit.
        report.structured = None if schema is None else Structured(fits=False)
        try:
            await cli.start()
            expected = mcp_servers.Expected(plan.mcp, cli.folder)
            await hear(cli.ask(messages_of(plan.prompt)), report, self._settings, on_text, expected)
            if report.envelope is None:
                # Not at `end`, which may be a while: its own retry comes half a second after it was announced.
                cli.silence()
            elif schema is not None:
                report.structured = await structured(schema, report.structured_input)
        except CLIJSONDecodeError as error:
            report.failure = "output_too_large" if "maximum buffer size" in str(error) else "cli_crashed"
        except Exception as error:  # noqa: BLE001 -- what comes out of a broken CLI breaks the SDK in any way it likes
            # An envelope that came before is still the truth; without one the CLI crashed.
            if report.relayed is None or not report.relayed.ended.done():
                event(log, "cli_failed", logging.WARNING, error=type(error).__name__)
            if cli.refused_schema:
                report.failure = "invalid_request"

    async def _clear_up(self) -> None:
        cli, conversation = self._cli, self._conversation
        if cli is None or conversation is None:
            return
        if self._leaves_something and conversation.done() and self._report.envelope is not None:
            await cli.let_go()
        # Before what it had started: a tool that ends is told to the model.
        cli.silence()
        await cli.end(self._warm.spared)
        # It ends as after a crash; one that had not started anything yet is told to end.
        if not (await asyncio.wait({conversation}, timeout=GRACE))[0]:
            conversation.cancel()
            await asyncio.wait({conversation})
            await cli.end(self._warm.spared)
        await cli.close()


async def _unhurried(work: Coroutine[Any, Any, None]) -> None:
    """Await something to its end, and let a cancellation that comes meanwhile wait for it."""
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
