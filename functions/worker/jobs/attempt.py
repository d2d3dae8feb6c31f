"""One attempt of a job: claim the job, run it, and settle its outcome."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from functions.worker.cli.gate import Gate
from functions.worker.cli.inputs import Inputs
from functions.worker.cli.plan import GitPlan, plan_for
from functions.worker.cli.preparation import Preparation
from functions.worker.cli.resuming import earlier_of, kept_of, plan_of_job
from functions.worker.cli.run import Run
from functions.worker.jobs import attempt_trace, finished
from functions.worker.jobs.context import Signals, SlotContext
from functions.worker.jobs.credentials import (
    CredentialUnavailableError,
    api_key_of,
    git_authorization,
    outcome_on_own_credential,
)
from functions.worker.jobs.finished import EndedRun
from functions.worker.jobs.heartbeat import Heartbeat
from functions.worker.jobs.interrupting import ClaimLostError, ShutdownError, cancel, uninterrupted
from functions.worker.jobs.mcp_credentials import with_credentials
from functions.worker.jobs.outcome import Outcome, failed, judge, with_outputs
from functions.worker.jobs.outputs import RunOutputs
from functions.worker.jobs.pausing import may_begin, pause_of, with_workspace
from functions.worker.jobs.pushing import pushed
from functions.worker.jobs.settling import settlement_of
from functions.worker.jobs.upstream_report import UpstreamReport
from functions.worker.pool.tasks import end
from shared.logs import event
from shared.store.jobs import claims
from shared.store.jobs.outputs import Outputs
from shared.store.jobs.sessions import StagedSession
from shared.store.jobs.settlements import Settlement
from shared.tracing import context as tracing

log = logging.getLogger("worker.attempt")

# Seconds for which a slot that has to end still stores what a run that has answered left.
_OVERTIME = 3.0
# The log event of an outcome that is in no store.
_NOT_SETTLED = {"void": "claim_lost", "lost": "result_lost", "refused": "result_refused"}


async def attempt(claim: claims.Claim, slot: str, context: SlotContext, signals: Signals) -> bool:
    """Run the job of a claim, if the claim holds; return whether its settlement stays on disk because Redis is away."""
    settings = context.settings
    job = await claims.take(context.client, claim, slot, settings.daily_budget_usd or 0, settings.caller_max_active)
    if job is None:
        event(log, "claim_void", job_id=claim.job_id, n=claim.number)
        return False
    running = Attempt(job, slot, context, signals)
    event(log, "job_started", job_id=claim.job_id, request_id=job.request_id, n=claim.number)
    return await running.run() == "spooled"


class Attempt:
    """An attempt of a claimed job."""

    def __init__(
        self,
        job: claims.ClaimedJob,
        slot: str,
        context: SlotContext,
        signals: Signals,
        ended: tuple[Path, finished.Note] | None = None,
    ) -> None:
        self._job = job
        self._slot = slot
        self._context = context
        self._signals = signals
        self._ids: dict[str, Any] = {"job_id": job.claim.job_id, "request_id": job.request_id}
        self._deadline = asyncio.get_running_loop().time() + job.time_left / 1000
        plan = plan_for(job.request, context.settings, spent_usd=job.cost)
        self._plan = plan_of_job(plan, job.claim.job_id, job.resumption)
        self._session: StagedSession | None = None
        if self._plan.session is not None:
            self._session = StagedSession(
                context.client, job.caller, str(job.claim), context.settings.session_ttl, self._plan.session.session_id,
                job.claim.job_id,
            )  # fmt: skip
        self._is_on_own_credential = self._plan.credential is not None
        relay = context.warm.relay
        self._trace = attempt_trace.begin(
            job, self._plan, context.settings, None if relay is None else relay.credential.url
        )
        if self._trace is not None:
            tracing.current.set(self._trace.run)  # of this task, which is the attempt's own
        self._report = UpstreamReport(context.client, job, self._trace, is_on_own_credential=self._is_on_own_credential)
        inputs = Inputs(self._plan.inputs, job.caller, context.client, context.settings)
        self._run: Run | EndedRun
        if ended is None:
            self._run = Run(context.settings, context.warm, self._report, inputs)
        else:
            preparation = Preparation(context.warm.shell, context.settings, inputs, self._report)
            self._run = EndedRun(*ended, preparation)
        self._outputs = RunOutputs(self._plan, self._run, job, context.client, context.settings)
        received = earlier_of(job.resumption).messages
        self._heartbeat = Heartbeat(context.client, job.claim, lambda: self._run.spends, signals.steer, received)

    async def run(self) -> str:
        """Run the job and settle its outcome; return how that was settled, as `Spool.settle` does."""
        claim, spool, stop = self._job.claim, self._context.spool, self._signals.stop
        heartbeat = asyncio.create_task(self._heartbeat.run())
        report = asyncio.create_task(self._report.run())
        how, outcome, lost_by = "", None, None
        try:
            outcome = await self._outcome(heartbeat)
            if self._trace is not None:
                self._trace.run_ended()
            await self._heartbeat.flush()
            if outcome.state == "paused":
                keeping = with_workspace(outcome, self._plan, self._run, self._job, self._context)
                outcome = await uninterrupted(keeping, heartbeat, self._signals, overtime=_OVERTIME)
                how = await self._settle(outcome)
            elif self._settlement(outcome).script == "finish" and self._outputs.are_left:
                await self._note_finished(outcome)
                finishing = self._with_outputs(outcome)
                outcome = await uninterrupted(finishing, heartbeat, self._signals, overtime=_OVERTIME)
                how = await self._settle(outcome)
            elif outcome.state == "completed":
                # Before the processes of the run have ended, so that no client has to wait for them.
                how = await self._settle(outcome)
        except ClaimLostError:
            lost_by = "claim_lost"
            event(log, "claim_lost", **self._ids, n=claim.number)
            await self._run.stop()
            outputs = await self._outputs_of_cancelled()
            lost = claims.spent(claim, self._job.caller, self._run.spends, outputs)
            await spool.settle(self._context.client, lost, stop)
            await self._run.end()
        except ShutdownError:
            lost_by = "handed_back"
            # Only after its processes have ended: another slot may start the job at once.
            await self._run.end()
            how = await spool.settle(self._context.client, claims.hand_back(claim, self._run.spends), stop)
            event(log, "job_handed_back", **self._ids, n=claim.number, how=how)
        else:
            await self._run.end()
            how = how or await self._settle(outcome)
        finally:
            await end(heartbeat, report)
            if self._trace is not None:
                ends_job = how == "settled" and outcome is not None and self._settlement(outcome).script == "finish"
                await self._trace.close(self._context.client, outcome, lost_by, self._run.spends, ends_job=ends_job)
            # A settlement on disk still needs the staged session.
            if self._session is not None and how != "spooled":
                with suppress(RedisError):  # it expires
                    await self._session.forget()
        return how

    async def _note_finished(self, outcome: Outcome) -> None:
        try:
            await asyncio.to_thread(finished.write, self._run, self._job.claim, self._slot, outcome)
        except OSError as error:
            # Should the slot die now, the CLI runs again.
            event(log, "run_not_noted", logging.WARNING, **self._ids, error=error.strerror or type(error).__name__)

    async def _outcome(self, heartbeat: "asyncio.Task[None]") -> Outcome:
        if isinstance(self._run, EndedRun):
            return await self._outcome_of_ended(self._run)
        if self._job.time_left <= 0:
            return failed("timeout")
        budget = self._plan.options.max_budget_usd
        if budget is not None and budget <= 0:
            return failed("budget_exceeded")
        try:
            mcp = await with_credentials(self._plan.mcp, self._job, self._context.client, self._context.settings)
            self._plan = replace(self._plan, api_key=self._api_key(), git=await self._git(), mcp=mcp)
        except CredentialUnavailableError:
            return failed("credential_unavailable")
        except RedisError:
            return failed("server_error")
        begin = partial(may_begin, self._context.client, self._job)
        gate = None if self._plan.approval is None else Gate(self._plan, begin)
        answer = self._run.answer(self._plan, self._heartbeat, self._session, self._deadline, gate)
        try:
            report = await uninterrupted(answer, heartbeat, self._signals, self._time_left())
        except TimeoutError:
            # A job that waited for Claude fails for what it waited for.
            code = self._run.waits_for or "timeout"
            return replace(failed(code), spend=self._run.spends, absent=self._run.absent, seen=self._run.seen)
        session = self._plan.session
        session_id = session.session_id if session and session.is_kept else None
        report.earlier = earlier_of(self._job.resumption)
        outcome = judge(report, max_output_bytes=self._context.settings.max_output_bytes, session_id=session_id)
        if outcome.state == "paused":
            outcome = replace(outcome, resume=kept_of(report, self._run.preparation.began_with))
        return outcome

    async def _with_outputs(self, outcome: Outcome) -> Outcome:
        """Return an outcome with what the run has left, which is stored and pushed."""
        outputs = await self._outputs.collect(is_success=outcome.state == "completed")
        outcome = with_outputs(outcome, outputs)
        return await pushed(outcome, self._plan.git, self._run, self._job.claim.job_id)

    async def _outputs_of_cancelled(self) -> Outputs | None:
        """Collect what the run of a cancelled job has left; nothing of a job that another slot has."""
        client, job_id = self._context.client, self._job.claim.job_id
        if not self._outputs.are_left:
            return None
        with suppress(RedisError):
            if not await claims.is_cancelled(client, job_id):
                return None
        collecting = asyncio.create_task(self._outputs.collect(is_success=False))
        stopped = asyncio.create_task(self._signals.stop.wait())
        try:
            await asyncio.wait({collecting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            return collecting.result() if collecting.done() else None
        finally:
            for one in (collecting, stopped):
                await cancel(one)

    async def _outcome_of_ended(self, run: EndedRun) -> Outcome:
        try:
            self._plan = replace(self._plan, git=await self._git())
        except CredentialUnavailableError:
            return failed("credential_unavailable")
        except RedisError:
            return failed("server_error")
        return run.outcome

    async def _git(self) -> GitPlan | None:
        git, context = self._plan.git, self._context
        if git is None:
            return None
        return replace(git, authorization=await git_authorization(self._job, git, context.client, context.settings))

    def _api_key(self) -> str | None:
        name, relay = self._plan.credential, self._context.warm.relay
        if name is None:
            return None
        messages_api = None if relay is None else relay.credential.url
        return api_key_of(self._job, name, self._context.settings, messages_api)

    def _settlement(self, outcome: Outcome) -> Settlement:
        if self._is_on_own_credential:
            outcome = outcome_on_own_credential(outcome)
        if outcome.state == "paused":
            return pause_of(self._job.claim, outcome, self._plan, self._context.settings)
        return settlement_of(self._job, outcome, self._time_left(), self._context.settings)

    async def _settle(self, outcome: Outcome) -> str:
        settlement = self._settlement(outcome)
        how = await self._context.spool.settle(self._context.client, settlement, self._signals.stop)
        ended = "job_ended" if settlement.script == "finish" and how != "held" else "job_delayed"
        ended = "job_paused" if settlement.script == "pause" else ended
        event(log, _NOT_SETTLED.get(how, ended), **self._ids, state=outcome.state, code=outcome.code)
        if outcome.outputs is not None and how in {"void", "held"}:
            await self._outputs.discard()
        if how == "settled" and outcome.state == "completed":
            await self._learn()
        return how

    async def _learn(self) -> None:
        """Count the use of MCP servers by a job that has ended; nothing without MCP_LEARN, or for a lost slot's run."""
        settings, run = self._context.settings, self._run
        if not settings.mcp_learn or not self._plan.mcp.names or isinstance(run, EndedRun):
            return
        from functions.worker.jobs.learning import learn  # noqa: PLC0415 -- needed with MCP_LEARN only

        caller, absent = self._job.caller, frozenset(run.absent)
        await learn(self._context.client, settings, caller, self._plan, called=run.called, absent=absent)

    def _time_left(self) -> float:
        return self._deadline - asyncio.get_running_loop().time()
