"""Ends the jobs of runs that have ended, and whose slots died before all that the runs had left was stored."""

import asyncio
import logging
import tempfile
from pathlib import Path

from redis.exceptions import RedisError

from functions.worker.cli import finished_folders
from functions.worker.cli.removal import remove_tree
from functions.worker.jobs import finished
from functions.worker.jobs.attempt import Attempt
from functions.worker.jobs.context import Signals, SlotContext
from shared.configuration.settings import WorkerSettings
from shared.logs import event
from shared.store.jobs import claims

log = logging.getLogger("worker.attempt")


def find(settings: WorkerSettings) -> tuple[Path, finished.Note] | None:
    """Take the directory of such a run, if there is one, and read its note; remove one without."""
    while (folder := finished_folders.take(Path(tempfile.gettempdir()))) is not None:
        try:
            return folder, finished.read(folder, settings)
        except (OSError, ValueError):
            remove_tree(folder)
    return None


async def resume(folder: Path, note: finished.Note, slot: str, context: SlotContext, signals: Signals) -> bool:
    """End the job of a run that has ended, whose slot died meanwhile, if its claim still holds; see `attempt`.

    Raises RedisError when the claim is not known to hold.
    """
    claim = note.claim
    try:
        job = await _taken(note, slot, context)
    except RedisError:
        finished_folders.give_back(folder)
        raise
    if job is None:
        event(log, "claim_void", job_id=claim.job_id, n=claim.number)
        await asyncio.to_thread(remove_tree, folder)
        return False
    event(log, "job_resumed", job_id=claim.job_id, request_id=job.request_id, n=claim.number)
    return await Attempt(job, slot, context, signals, (folder, note)).run() == "spooled"


async def _taken(note: finished.Note, slot: str, context: SlotContext) -> claims.ClaimedJob | None:
    deployment, key = await claims.own_deployment(context.client)
    if deployment != note.deployment or not note.is_signed_with(key):
        return None
    # A settlement on disk has the files that are stored already.
    if context.spool.has(note.claim):
        return None
    budget = context.settings.daily_budget_usd or 0
    return await claims.take(context.client, note.claim, slot, budget, instead_of=note.slot)
