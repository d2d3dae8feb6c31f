"""A run that has ended, noted on disk while what it has left is stored.

When the slot dies meanwhile, another slot of the same machine ends the job from there: the CLI does not run again.
"""

import asyncio
import hmac
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from functions.worker.cli.finished_folders import MARK
from functions.worker.cli.preparation import Preparation
from functions.worker.cli.removal import remove_tree
from functions.worker.cli.run import Run
from functions.worker.cli.workspace import Workspace
from functions.worker.jobs.outcome import Outcome
from shared.api.vocabulary import ErrorCode
from shared.configuration.settings import WorkerSettings
from shared.host import private_files
from shared.store.callers.spending import Spend
from shared.store.jobs.claims import Claim

# Bytes of a note beside those of the answer, and of each byte of it: it is JSON in ASCII.
_LONGEST_EXTRA, _FACTOR = 1 << 20, 6


class Note(BaseModel):
    """What `finished.json` holds; it is signed by the deployment's secret, which no run knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    deployment: str
    job_id: str
    number: int
    slot: str
    state: Literal["completed", "failed"]
    body: dict[str, Any]
    retry_after: int | None
    spend: list[Spend]
    absent: tuple[str, ...]
    seen: dict[str, Any]
    shows_upstream: bool
    began_with: str
    has_patch: bool
    signature: str = ""

    @property
    def claim(self) -> Claim:
        """The claim that the slot held."""
        return Claim(self.job_id, self.number, self.deployment)

    @property
    def outcome(self) -> Outcome:
        """The outcome of the run, without what it has left."""
        return Outcome(self.state, self.body, self.retry_after, self.spend, self.absent, self.seen, self.shows_upstream)

    def signed(self, key: str) -> str:
        """Return the signature of the other fields."""
        fields = json.dumps(self.model_dump(exclude={"signature"}), sort_keys=True)
        return hmac.new(key.encode(), fields.encode(), "sha256").hexdigest()

    def is_signed_with(self, key: str) -> bool:
        """Return whether a worker that knows the deployment's secret has written the note."""
        return bool(key) and hmac.compare_digest(self.signature.encode(), self.signed(key).encode())


class EndedRun:
    """A run whose processes have ended, with the slot that ran it; for the rest of its attempt it is like a `Run`."""

    waits_for: ErrorCode | None = None

    def __init__(self, folder: Path, note: Note, preparation: Preparation) -> None:
        """Continue in the run's directory; `preparation` is new."""
        self._folder = folder
        self.outcome = note.outcome
        self.spends, self.absent, self.seen = note.spend, note.absent, note.seen
        self.work: Path | None = Workspace(folder).work
        self.preparation = preparation
        preparation.resume(folder, note.began_with, has_patch=note.has_patch)

    async def stop(self) -> None:
        """Do nothing: no process is left."""

    async def end(self) -> None:
        """Remove the directories."""
        await asyncio.to_thread(remove_tree, self._folder)


def write(run: Run | EndedRun, claim: Claim, slot: str, outcome: Outcome) -> None:
    """Note a run that has ended, in its directory, which stays until `end`; raise OSError."""
    if run.work is None or isinstance(run, EndedRun):
        return
    note = Note(
        deployment=claim.deployment,
        job_id=claim.job_id,
        number=claim.number,
        slot=slot,
        state=outcome.state,
        body=outcome.body,
        retry_after=outcome.retry_after,
        spend=list(outcome.spend),
        absent=outcome.absent,
        seen=outcome.seen,
        shows_upstream=outcome.shows_upstream,
        began_with=run.preparation.began_with,
        has_patch=run.preparation.patch_from is not None,
    )
    text = json.dumps(note.model_dump() | {"signature": note.signed(claim.spool_key)})
    with private_files.opened(run.work.parent) as folder:
        private_files.write(MARK, folder, text.encode())


def read(folder: Path, settings: WorkerSettings) -> Note:
    """Return the note in the directory of a run; raise OSError or ValueError when it has none of this version."""
    with private_files.opened(folder) as handle:
        text = private_files.read(MARK, handle, settings.max_output_bytes * _FACTOR + _LONGEST_EXTRA)
    try:
        return Note.model_validate(json.loads(text))
    except RecursionError:
        raise ValueError("nested too deeply") from None
