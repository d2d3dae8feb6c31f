"""Fills the working directory of a run before it begins: the repository, and then the files."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from functions.worker.cli.inputs import Inputs, InputsError
from functions.worker.cli.plan import GitPlan, RunPlan
from functions.worker.cli.turns import Block
from functions.worker.cli.workspace import Workspace
from functions.worker.git.clone import clone
from functions.worker.git.difference import begin
from functions.worker.git.served import Remote
from functions.worker.git.shell import GitError, Shell, WorkspaceError
from functions.worker.relay.run import Watcher
from shared.configuration.settings import WorkerSettings
from shared.logs import event
from shared.store.jobs.pauses import workspace_session
from shared.store.jobs.waiting import Cloning

log = logging.getLogger("worker.git")

# Seconds for noting how the working directory is before the run.
_BEGIN_WITHIN = 120.0


class Preparation:
    """The preparation of one run; `patch_from` compares its working directory, and pushes it, when the run has ended.

    `began_with` is the commit that the repository is at.
    """

    def __init__(
        self, shell_of: Callable[[Path], Shell], settings: WorkerSettings, inputs: Inputs | None, watcher: Watcher
    ) -> None:
        self._shell_of = shell_of
        self._settings = settings
        self._inputs = inputs
        self._watcher = watcher
        self.patch_from: Shell | None = None
        self.began_with = ""
        self.is_cloning = False

    async def attached(self) -> list[Block]:
        """Return the attachments as content blocks; raises InputsError."""
        return await self._inputs.blocks() if self._inputs is not None else []

    async def prepare(self, folder: Path, plan: RunPlan) -> None:
        """Fill the working directory below the run's `folder`; raises WorkspaceError or InputsError."""
        shell, workspace, restored = self._shell_of(folder), Workspace(folder), False
        if plan.git is not None:
            await self._clone(shell, _at_commit(plan.git, plan))
        if self._inputs is not None:
            restored = plan.restores is not None and await self._inputs.restore(workspace.work, plan.restores)
            await self._inputs.place(workspace.work)
        if plan.inputs.attachments and plan.session and not plan.uses_tools:
            workspace.refuse_copies()
        if plan.options.tools and (restored or plan.git or plan.inputs.files):
            await self._begin(shell, plan)
        if plan.resumption is not None and plan.options.tools and self._inputs is not None:
            await self._restore_paused(self._inputs, workspace, plan)

    async def _restore_paused(self, inputs: Inputs, workspace: Workspace, plan: RunPlan) -> None:
        """Put back the working directory as it was at the pause, now that its beginning is noted."""
        workspace.empty()
        is_kept = plan.resumption is not None and plan.resumption.kept["workspace"]
        if is_kept and not await inputs.restore(workspace.work, workspace_session(plan.job_id)):
            raise InputsError

    def resume(self, folder: Path, began_with: str, *, has_patch: bool) -> None:
        """Take what an earlier slot has prepared in the run's `folder`."""
        self.began_with = began_with
        self.patch_from = self._shell_of(folder) if has_patch else None

    def remote(self, git: GitPlan, *, pushes: bool = False) -> Remote:
        """Return the repository as a step of git reaches it."""
        return Remote(git.access(pushes=pushes), self._settings.run_allowed_networks, self._watcher)

    async def _clone(self, shell: Shell, git: GitPlan) -> None:
        self.is_cloning = True
        self._watcher.waits(Cloning(int(time.time() * 1000)))
        within = self._settings.claude_timeout / 1000
        try:
            self.began_with = await clone(shell, self.remote(git), git.ref, git.depth, within)
        finally:
            self._watcher.waits(None)
        self.is_cloning = False

    async def _begin(self, shell: Shell, plan: RunPlan) -> None:
        try:
            await begin(shell, _BEGIN_WITHIN)
            self.patch_from = shell
        except GitError as error:
            # Without git a job with files runs all the same, and has no patch.
            event(log, "patch_not_begun", logging.WARNING, status=error.status)
            if plan.git is not None:
                raise WorkspaceError("The repository could not be prepared for the run") from None


def _at_commit(git: GitPlan, plan: RunPlan) -> GitPlan:
    """Return the plan of a repository at the commit that the job began with, if it goes on after a pause."""
    commit = None if plan.resumption is None else plan.resumption.kept.get("commit")
    return replace(git, ref=commit) if commit else git
