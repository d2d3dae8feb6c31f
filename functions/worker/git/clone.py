"""The clone of a repository into the working directory of a run, before the run begins.

Nothing of the repository is executed: the clone has no hooks, filters and submodules, and git inside reads no settings
but ours. A copy of the repository in `store`, which no run sees, is for the steps after the run. The run finds the
repository's own URL as its remote `origin`, which leads to the relay by settings in the run's home, so that the next
turn of its session finds the repository without them.
"""

import re

from functions.worker.git.served import Remote, run_with_relay
from functions.worker.git.shell import Shell

# $1 is the URL, $2 the depth, $3 the kind of ref and $4 the ref.
_CLONE = """\
relayed="$RELAY/${1#https://}"
export "GIT_CONFIG_KEY_$GIT_CONFIG_COUNT=url.$relayed.insteadOf" "GIT_CONFIG_VALUE_$GIT_CONFIG_COUNT=$1"
export GIT_CONFIG_COUNT=$((GIT_CONFIG_COUNT + 1))
cd "$WORK"
case $3 in
  default) git clone -q --depth "$2" -- "$1" . ;;
  name) git clone -q --depth "$2" --branch "$4" -- "$1" . ;;
  *)
    git init -q .
    git remote add origin "$1"
    git fetch -q --no-tags --depth "$2" origin "$4" || {
      # Some servers give a commit by its id to nobody: then it is looked for in all branches and tags.
      [ "$3" = commit ]
      git fetch -q --tags origin "+refs/heads/*:refs/remotes/origin/*"
    }
    if [ "$3" = branch ]; then git checkout -q -B "${4#refs/heads/}" FETCH_HEAD
    elif [ "$3" = commit ]; then git checkout -q --detach "$4"
    else git checkout -q --detach FETCH_HEAD; fi ;;
esac
git rev-parse --verify -q "HEAD^{commit}"
git config user.name "$5"
git config user.email "$6"
cp -R .git "$STORE/git"
[ -z "$7" ] || git config --file "$HOME/.gitconfig" "url.$relayed.insteadOf" "$1"
"""
_COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
NAME, EMAIL = "Claude", "noreply@anthropic.com"


async def clone(
    shell: Shell,
    remote: Remote,
    ref: str | None,
    depth: int,
    within: float,
) -> str:
    """Clone the repository, and return the commit that is checked out; raise WorkspaceError."""
    otherwise = "The repository could not be cloned: it has no commit"
    if ref is not None:
        otherwise = f"The repository could not be cloned: it has no branch, tag or commit {ref!r}"
    # Outside a sandbox the relay of this step ends with it.
    keeps_relay = "1" if shell.is_confined else ""
    printed = await run_with_relay(
        shell, remote, _CLONE, f"https://{remote.access.place}", str(depth), *_kind(ref), NAME, EMAIL, keeps_relay,
        places={"work": "write", "store": "write", "home": "write"}, within=within, what="cloned", otherwise=otherwise,
    )  # fmt: skip
    return printed.decode().strip()


def _kind(ref: str | None) -> tuple[str, str]:
    if ref is None:
        return "default", ""
    if _COMMIT.fullmatch(ref):
        return "commit", ref
    if ref.startswith("refs/heads/"):
        return "branch", ref
    return ("other" if ref.startswith("refs/") else "name"), ref
