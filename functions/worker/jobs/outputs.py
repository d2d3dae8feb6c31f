"""The outputs of an attempt: whether its run leaves files, and the collection of them before the job ends."""

import redis.asyncio

from functions.worker.cli.plan import RunPlan
from functions.worker.cli.run import Run
from functions.worker.jobs.finished import EndedRun
from functions.worker.outputs import artifacts, kept
from functions.worker.outputs.collecting import Collector
from shared.configuration.settings import WorkerSettings
from shared.store.jobs.claims import ClaimedJob
from shared.store.jobs.outputs import Outputs


class RunOutputs:
    """The outputs of one run. Only a run with built-in tools can leave files."""

    def __init__(
        self, plan: RunPlan, run: Run | EndedRun, job: ClaimedJob, client: redis.asyncio.Redis, settings: WorkerSettings
    ) -> None:
        self._plan = plan
        self._run = run
        self._collector = Collector(client, job, settings)
        self._collected: Outputs | None = None

    @property
    def are_left(self) -> bool:
        """Whether the run, which may not have ended, leaves anything to collect."""
        work = self._run.work
        if work is None or not self._plan.options.tools:
            return False
        keeps = self._keeps_session and kept.is_worth_keeping(work)
        return keeps or self._run.preparation.patch_from is not None or artifacts.is_there(work)

    @property
    def _keeps_session(self) -> bool:
        return self._plan.session is not None and self._plan.session.is_kept

    async def collect(self, *, is_success: bool) -> Outputs | None:
        """End the processes of the run, and store what it has left; None for nothing.

        The session of a success keeps the working directory.
        """
        await self._run.stop()
        work = self._run.work
        if work is not None and self._collected is None:
            keeps, patch_from = is_success and self._keeps_session, self._run.preparation.patch_from
            self._collected = await self._collector.collect(work, patch_from, keeps=keeps)
        return self._collected

    async def discard(self) -> None:
        """Remove what was stored: the settlement had no effect."""
        await self._collector.discard()
