"""What a run has committed, or else what it has changed as one commit, and the push of that.

The run's repository is read in a sandbox of its own, which has nothing to lose, and out of which comes a bundle: data
that git checks object by object. The push knows only the gateway's own repository.
"""

import logging

from functions.worker.git.served import Remote, run_with_relay
from functions.worker.git.shell import Access, GitError, Shell, WorkspaceError
from shared.logs import event

log = logging.getLogger("worker.git")

# $1 is the commit that the run began with. Git would wait for ever for what a pipe says.
_BUNDLE = """\
export GIT_DIR="$WORK/.git"
pipes=$(find "$GIT_DIR" ! -type f ! -type d ! -type l -print -quit 2>/dev/null) || true
[ -z "$pipes" ]
rm -f "$BUNDLE"/run*
head=$(git rev-parse --verify -q "HEAD^{commit}") || exit 0
[ "$head" != "$1" ] || exit 0
git bundle create -q "$BUNDLE/run" HEAD "^$1"
"""
_IMPORT = """\
export GIT_DIR="$STORE/git"
rm -f "$GIT_DIR"/refs/gateway/run.lock
git -c fetch.fsckObjects=true fetch -q --no-tags --no-write-fetch-head "$BUNDLE/run" "+HEAD:refs/gateway/run"
git merge-base --is-ancestor "$1" refs/gateway/run
git rev-parse refs/gateway/run
"""
# Files that were given with the job, and that the run has not changed, are no part of the commit.
_COMMIT = """\
export GIT_DIR="$STORE/git" GIT_INDEX_FILE="$STORE/index"
rm -f "$STORE"/index*
# The slot that repeats the push of one that died makes the same commit.
GIT_AUTHOR_DATE="@$(date -r "$STORE/begin" +%s) +0000"
export GIT_AUTHOR_DATE GIT_COMMITTER_DATE="$GIT_AUTHOR_DATE"
begin=$(cat "$STORE/begin") end=$(cat "$STORE/end")
[ "$begin" != "$end" ] || exit 0
git read-tree -i -m --aggressive "$begin" "$1^{tree}" "$end"
tree=$(git write-tree 2>/dev/null) || tree=$end
git commit-tree "$tree" -p "$1" -m "$2"
"""
_PUSH = 'git --git-dir="$STORE/git" push -q --no-verify "$RELAY/$1" "$2:refs/heads/$3"'
_WITHIN = 60.0


async def commit_of(shell: Shell, began_with: str, message: str) -> str | None:
    """Return the commit to push; None when the run has neither committed nor changed anything.

    It is in the gateway's own repository. Call it after `difference`. Raises WorkspaceError.
    """
    try:
        await shell.run(_BUNDLE, began_with, places={"work": "read", "bundle": "write"}, within=_WITHIN)
        if (shell.root / "bundle" / "run").is_file():
            places: dict[str, Access] = {"bundle": "read", "store": "write"}
            return (await shell.run(_IMPORT, began_with, places=places, within=_WITHIN)).decode().strip()
    except GitError as error:
        event(log, "git_failed", logging.WARNING, step="read", status=error.status)
        reason = "they are damaged, or do not continue the commit that the run began with"
        raise WorkspaceError(f"The commits of the run could not be pushed: {reason}") from None
    try:
        made = await shell.run(_COMMIT, began_with, message, places={"store": "write"}, within=_WITHIN)
    except GitError as error:
        event(log, "git_failed", logging.WARNING, step="commit", status=error.status)
        raise WorkspaceError("The changes of the run could not be committed") from None
    return made.decode().strip() or None


async def push(
    shell: Shell,
    remote: Remote,
    commit: str,
    branch: str,
    within: float,
) -> None:
    """Push a commit to a branch, which it has to continue; raise WorkspaceError."""
    otherwise = (
        f"The commit could not be pushed to {branch!r}: the branch has other commits, or the server does not allow it"
    )
    await run_with_relay(
        shell, remote, _PUSH, remote.access.place, commit, branch,
        places={"store": "read"}, within=within, what="pushed", otherwise=otherwise,
    )  # fmt: skip
