"""One attempt at a job: claim it, run it, settle what came of it."""

import asyncio
import logging
import random
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from functions.worker.cli.run import Run
from functions.worker.cli.warm import WarmCli
from functions.worker.jobs.lease import Lease
from functions.worker.jobs.outcome import RETRYABLE, Outcome, failed, judge
from functions.worker.jobs.spool import Spool
from functions.worker.jobs.upstream_report import UpstreamReport
from functions.worker.pool.tasks import end
from shared.configuration.settings import WorkerSettings
from shared.logs import event
from shared.store.jobs import claims
from shared.store.jobs.sessions import Turn

log = logging.getLogger("worker.attempt")

# The pause before a second attempt; doubled for each that follows, up to the last; ms.
_BACKOFF_FIRST, _BACKOFF_LAST = 1000, 60_000
# What is logged of a job whose outcome no store has.
_NOT_ENDED = {"void": "claim_lost", "lost": "result_lost", "refused": "result_refused"}


class ClaimLostError(Exception):
    """The job is not ours any more: it was cancelled, or given to another slot."""


class ShutdownError(Exception):
    """The slot has to end before the run did."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a slot may be asked while it runs a job: `stop` hands it back, `cancel` gives it up."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    cancel: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Means:
    """What a slot has for its attempts."""

    client: redis.asyncio.Redis
    settings: WorkerSettings
    warm: WarmCli
    spool: Spool


async def attempt(claim: claims.Claim, slot: str, means: Means, asked: Asked) -> bool:
    """Run the job of a claim, if the claim holds; return whether its settlement is left on disk, without Redis."""
    job = await claims.take(means.client, claim, slot, means.settings.daily_budget_usd or 0)
    if job is None:
        event(log, "claim_void", job_id=claim.job_id, n=claim.number)
        return False
    claim = job.claim
    ids: dict[str, Any] = {"job_id": claim.job_id, "request_id": job.request_id}
    event(log, "job_started", **ids, n=claim.number)
    clock = asyncio.get_running_loop().time() + job.time_left / 1000
    lease = Lease(means.client, claim)
    report = UpstreamReport(means.client, job)
    run = Run(means.settings, means.warm, lease.hear, report)
    lease.spends = lambda: run.spends
    turn = _turn(job, means)
    keeper = asyncio.create_task(lease.keep())
    reporter = asyncio.create_task(report.run())
    how = ""
    try:
        outcome = await _outcome(run, job, turn, keeper, clock, means, asked)
        await lease.tell_the_rest()
        if outcome.state == "completed":
            # Told before the run's processes have ended, which nobody who waits for the answer has to wait for.
            how = await _settle(job, outcome, clock, means, asked)
    except ClaimLostError:
        event(log, "claim_lost", **ids, n=claim.number)
        await run.end()
        await means.spool.settle(means.client, claims.spent(claim, job.caller, run.spends), asked.stop)
    except ShutdownError:
        # Not before nothing of it runs any more: another slot may start the job at once.
        await run.end()
        how = await means.spool.settle(means.client, claims.hand_back(claim, run.spends), asked.stop)
        event(log, "job_handed_back", **ids, n=claim.number, how=how)
    else:
        await run.end()
        if outcome.state != "completed":
            how = await _settle(job, outcome, clock, means, asked)
    finally:
        await end(keeper, reporter)
        # What is on disk is still to take it over.
        if turn is not None and how != "spooled":
            with suppress(RedisError):  # it goes by itself in time
                await turn.forget()
    return how == "spooled"


async def _outcome(
    run: Run,
    job: claims.ClaimedJob,
    turn: Turn | None,
    keeper: "asyncio.Task[None]",
    clock: float,
    means: Means,
    asked: Asked,
) -> Outcome:
    if job.time_left <= 0:
        return failed("timeout")
    budget = _budget_left(job, means.settings)
    if budget is not None and budget <= 0:
        return failed("budget_exceeded")
    request = job.request if budget is None else {**job.request, "maxBudgetUsd": budget}
    answer = asyncio.create_task(run.answer(request, turn, clock))
    stopped = asyncio.create_task(asked.stop.wait())
    cancelled = asyncio.create_task(asked.cancel.wait())
    try:
        left = clock - asyncio.get_running_loop().time()
        await asyncio.wait({answer, keeper, stopped, cancelled}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            outcome = judge(answer.result(), max_output_bytes=means.settings.max_output_bytes)
            if outcome.state == "completed" and (talk := job.request.get("conversation")):
                outcome.body["result"]["sessionId"] = talk["id"]
            return outcome
        if keeper.done() or cancelled.done():
            raise ClaimLostError
        if stopped.done():
            raise ShutdownError
        # A job that waited for Claude fails for what it waited for.
        return replace(failed(run.waits_for or "timeout"), spend=run.spends, absent=run.absent, seen=run.seen)
    finally:
        await _cancel(answer)
        await _cancel(stopped)
        await _cancel(cancelled)


def _budget_left(job: claims.ClaimedJob, settings: WorkerSettings) -> float | None:
    """Return what the attempts before have left of the job's budget in USD; None when it has none, or all of it."""
    budgets = [limit for limit in (job.request.get("maxBudgetUsd"), settings.max_budget_usd) if limit is not None]
    return min(budgets) - job.cost if budgets and job.cost else None


def _turn(job: claims.ClaimedJob, means: Means) -> Turn | None:
    """Return the store of the conversation whose turn a job is."""
    if "conversation" not in job.request:
        return None
    return Turn(means.client, job.caller, str(job.claim), means.settings.session_ttl)


async def _cancel(task: "asyncio.Task[object]") -> None:
    task.cancel()
    await asyncio.wait({task})


async def _settle(job: claims.ClaimedJob, outcome: Outcome, clock: float, means: Means, asked: Asked) -> str:
    left = (clock - asyncio.get_running_loop().time()) * 1000
    pause = _pause(job.attempts, outcome)
    code = outcome.code
    may_repeat = code in RETRYABLE and job.attempts + 1 < means.settings.claude_max_retries
    # One that could not start again before its clock ends has failed for the reason that it has now.
    if code is not None and may_repeat and pause < left:
        settlement = claims.retry(job.claim, pause, code, outcome.upstream, outcome.spend, outcome.seen)
    else:
        settlement = claims.finish(
            job.claim,
            outcome.state,
            outcome.body,
            keep_for=means.settings.result_ttl,
            upstream=outcome.upstream,
            spend=outcome.spend,
            absent=outcome.absent,
            keep_talk_for=means.settings.session_ttl,
            seen=outcome.seen,
        )
    ids: dict[str, Any] = {"job_id": job.claim.job_id, "request_id": job.request_id}
    how = await means.spool.settle(means.client, settlement, asked.stop)
    ended = "job_ended" if settlement.script == "finish" and how != "held" else "job_delayed"
    event(log, _NOT_ENDED.get(how, ended), **ids, state=outcome.state, code=code)
    return how


def _pause(attempts: int, outcome: Outcome) -> int:
    """Return ms to the next attempt: exponential with jitter, and never before the API wants to hear of us."""
    backoff = min(_BACKOFF_FIRST * 2**attempts, _BACKOFF_LAST) * random.uniform(0.75, 1.25)  # noqa: S311 -- no secret
    return max(int(backoff), outcome.retry_after or 0)
