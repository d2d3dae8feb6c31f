"""One attempt at a job: claim it, run it, write what came of it."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import redis.asyncio
from redis.exceptions import RedisError

from functions.worker import claude
from functions.worker.outcome import Outcome, failed, judge
from shared.logs import event
from shared.settings import WorkerSettings
from shared.store import claims

log = logging.getLogger("worker.attempt")

# Progress is written at most this often; at least this often the lease is renewed, and the state read again, for a
# message of a cancellation can be lost; seconds.
_PROGRESS_EVERY, _LEASE_EVERY = 0.25, 0.75
# Nobody knows how long an answer will be: after this many characters progress is at two thirds of its way.
_USUAL_ANSWER = 1500


class ClaimLostError(Exception):
    """The job is not ours any more: it was cancelled, or given to another slot."""


class ShutdownError(Exception):
    """The slot has to end before the run did."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a slot may be asked while it runs a job: `stop` hands it back, `cancel` gives it up."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    cancel: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Progress:
    """How far a run is: 10 when started, up to 90 while the model writes."""

    written: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, text: str) -> None:
        """Count text that the model wrote."""
        self.written += len(text)
        self.changed.set()

    @property
    def value(self) -> int:
        """Progress as the API shows it."""
        return 10 + int(80 * (1 - math.exp(-self.written / _USUAL_ANSWER)))


async def attempt(
    client: redis.asyncio.Redis, claim: claims.Claim, slot: str, settings: WorkerSettings, asked: Asked
) -> None:
    """Run the job of a claim, if the claim holds."""
    job = await claims.take(client, claim, slot)
    if job is None:
        event(log, "claim_void", job_id=claim.job_id, n=claim.number)
        return
    event(log, "job_started", job_id=claim.job_id, n=claim.number)
    try:
        outcome = await _run(client, job, settings, asked)
    except ClaimLostError:
        event(log, "claim_lost", job_id=claim.job_id, n=claim.number)
    except ShutdownError:
        await _surely(lambda: claims.hand_back(client, claim))
        event(log, "job_handed_back", job_id=claim.job_id, n=claim.number)
    else:
        await _finish(client, claim, outcome, settings)


async def _run(client: redis.asyncio.Redis, job: claims.ClaimedJob, settings: WorkerSettings, asked: Asked) -> Outcome:
    progress = Progress()
    run = asyncio.create_task(claude.run(job.request, settings, progress.hear))
    keeper = asyncio.create_task(_keep(client, job.claim, progress))
    stopped = asyncio.create_task(asked.stop.wait())
    cancelled = asyncio.create_task(asked.cancel.wait())
    try:
        await asyncio.wait(
            {run, keeper, stopped, cancelled}, timeout=max(0, job.time_left) / 1000, return_when=asyncio.FIRST_COMPLETED
        )
        if run.done():
            return judge(run.result(), max_output_bytes=settings.max_output_bytes)
        if keeper.done() or cancelled.done():
            raise ClaimLostError
        if stopped.done():
            raise ShutdownError
        return failed("timeout")
    finally:
        # The run goes last: it takes what its processes take to end, and the lease is kept until they have.
        await _cancel(run)
        await _cancel(keeper)
        await _cancel(stopped)
        await _cancel(cancelled)


async def _cancel(task: "asyncio.Task[object]") -> None:
    task.cancel()
    await asyncio.wait({task})


async def _keep(client: redis.asyncio.Redis, claim: claims.Claim, progress: Progress) -> None:
    """Write progress and renew the lease until the claim is lost; a store that is away changes nothing."""
    holds = True
    while holds:
        try:
            holds = await claims.keep(client, claim, progress.value)
        except RedisError:
            log.warning("lease_not_renewed", extra={"fields": {"job_id": claim.job_id}})
        progress.changed.clear()
        await asyncio.sleep(_PROGRESS_EVERY)
        try:
            async with asyncio.timeout(_LEASE_EVERY):
                await progress.changed.wait()
        except TimeoutError:
            pass


async def _finish(client: redis.asyncio.Redis, claim: claims.Claim, outcome: Outcome, settings: WorkerSettings) -> None:
    written = await _surely(
        lambda: claims.finish(client, claim, outcome.state, outcome.body, keep_for=settings.result_ttl)
    )
    code = outcome.body.get("error", {}).get("code")
    event(log, "job_ended" if written else "claim_lost", job_id=claim.job_id, state=outcome.state, code=code)


async def _surely(write: Callable[[], Awaitable[bool]]) -> bool:
    """Write until the store has taken it: what a run cost is not lost because Redis is away."""
    wait = 0.1
    while True:
        try:
            return await write()
        except RedisError:
            log.warning("store_away", extra={"fields": {"retry_in": wait}})
            await asyncio.sleep(wait)
            wait = min(wait * 2, 2.0)
