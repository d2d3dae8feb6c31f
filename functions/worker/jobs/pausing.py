"""The end of a run that waits for a decision: its working directory is kept, and its job leaves the slot."""

import asyncio
from dataclasses import replace

import redis.asyncio
from redis.exceptions import RedisError

from functions.worker.cli.plan import RunPlan
from functions.worker.cli.run import Run
from functions.worker.jobs.context import SlotContext
from functions.worker.jobs.finished import EndedRun
from functions.worker.jobs.outcome import Outcome, failed
from functions.worker.outputs import kept
from functions.worker.outputs.uploading import OmittedError, Uploads
from shared.configuration.settings import WorkerSettings
from shared.store.jobs import claims, pauses
from shared.store.jobs.outputs import Outputs
from shared.store.jobs.settlements import Settlement

# Seconds until a Redis that does not answer is asked again whether a call may begin.
_ASK_AGAIN = 0.5
_NOT_KEPT = (
    "The working directory could not be kept while the job waits for a decision: it is larger than MAX_WORKSPACE_BYTES "
    "or MAX_FILE_BYTES allows, or the caller's files are larger than MAX_CALLER_FILE_BYTES"
)


async def with_workspace(
    outcome: Outcome, plan: RunPlan, run: Run | EndedRun, job: claims.ClaimedJob, context: SlotContext
) -> Outcome:
    """End the processes of a run that is paused, and store its working directory; a failure is that of the job."""
    await run.stop()
    work = run.work
    if work is None or not plan.options.tools or not kept.is_worth_keeping(work):
        return outcome
    try:
        uploads = Uploads(context.client, job.caller, context.settings, job.claim.job_id)
        archive = await kept.keep(work, uploads, context.settings)
    except OmittedError:
        failure = failed("workspace_too_large", message=_NOT_KEPT)
        return replace(failure, spend=outcome.spend, absent=outcome.absent, seen=outcome.seen)
    return replace(outcome, outputs=Outputs(workspace=archive), resume={**outcome.resume, "workspace": True})


def pause_of(claim: claims.Claim, outcome: Outcome, plan: RunPlan, settings: WorkerSettings) -> Settlement:
    """Return the settlement of a run that is paused."""
    if outcome.question is None or plan.session is None:
        raise ValueError("the run is not paused")
    return pauses.pause(
        claim,
        outcome.question,
        session_id=plan.session.session_id,
        resume=outcome.resume,
        spend=outcome.spend,
        outputs=outcome.outputs,
        # Longer than the decision may take: after it the job may wait for a slot.
        keep_for=outcome.question.timeout_ms // 1000 + settings.session_ttl,
    )


async def may_begin(client: redis.asyncio.Redis, job: claims.ClaimedJob) -> bool:
    """Return whether the run of a job may begin the call that was allowed."""
    while job.resumption is not None:
        try:
            return await pauses.begin_call(client, job.claim, job.resumption.ask)
        except RedisError:
            # The call waits like its job: nobody else may say that it was not begun.
            await asyncio.sleep(_ASK_AGAIN)
    return False
