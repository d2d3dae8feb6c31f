"""The push of what a run has made of its repository, before its job ends."""

from dataclasses import replace

from functions.worker.cli.plan import GitPlan
from functions.worker.cli.run import Run
from functions.worker.git.commits import commit_of, push
from functions.worker.git.shell import WorkspaceError
from functions.worker.jobs.finished import EndedRun
from functions.worker.jobs.outcome import Outcome, failed, with_outputs
from shared.store.jobs.outputs import Outputs

_WITHIN = 120.0


async def pushed(outcome: Outcome, git: GitPlan | None, run: Run | EndedRun, job_id: str) -> Outcome:
    """Push the work of a run that has succeeded and whose processes have ended; return the outcome with the commit.

    A push that fails is the failure of the job: its patch and its artifacts stay.
    """
    shell = run.preparation.patch_from
    if outcome.state != "completed" or git is None or git.branch is None or shell is None:
        return outcome
    try:
        commit = await commit_of(shell, run.preparation.began_with, f"Apply the changes of job {job_id}")
        if commit is None:
            return outcome
        await push(shell, run.preparation.remote(git, pushes=True), commit, git.branch, _WITHIN)
    except WorkspaceError as error:
        failure = failed(error.code, message=error.message)
        return replace(outcome, state=failure.state, body=failure.body)
    return with_outputs(outcome, (outcome.outputs or Outputs()).model_copy(update={"commit": commit}))
