"""The difference of a workspace to where its run began, as a patch that `git apply` takes.

Before the run `begin` notes how the working directory is; afterwards, when all processes of the run have ended,
`difference` compares. Both use a git directory beside that of the run, `store`, which no run sees.
"""

import logging
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from functions.worker.git.shell import GitError, Shell
from shared.logs import event

log = logging.getLogger("worker.git")

# The content of a directory with a repository of its own, which a run has made, counts like that of any other: git
# alone would compare the commits of the two.
_NESTED = """\
find . -path ./.git -prune -o -name .git -prune -print0 | xargs -0 -r -n 100 sh -c '
  for found; do
    git check-ignore -q "${found%/.git}" || printf "%s\\0" "${found%/.git}"
  done' sh > "$STORE/nested" || true
if [ -s "$STORE/nested" ]; then
  git update-index -z --force-remove --stdin < "$STORE/nested"
  xargs -0 -n 100 sh -c 'find "$@" -name .git -prune -o "(" -type f -o -type l ")" -print0' sh < "$STORE/nested" |
    git update-index -z --add --stdin || true
fi
"""
# After a clone `store` has a copy of the repository. A run's artifacts are no part of the patch unless the repository,
# or the files that were given, have them.
_BEGIN = f"""\
[ -d "$STORE/git" ] || git init -q --bare "$STORE/git"
export GIT_DIR="$STORE/git" GIT_WORK_TREE="$WORK"
mkdir -p "$GIT_DIR/info"
echo /outputs/ > "$GIT_DIR/info/exclude"
cd "$WORK"
git add -A -f
{_NESTED}git write-tree > "$STORE/begin"
"""
# Git would wait for ever for what a pipe named .gitattributes says.
_COMPARE = f"""\
export GIT_DIR="$STORE/git" GIT_WORK_TREE="$WORK"
rm -f "$GIT_DIR"/index.lock # of a slot that died
begin=$(cat "$STORE/begin")
cd "$WORK"
pipes=$(find . -name '.git?*' ! -type f ! -type d ! -type l -print -quit)
if [ -n "$pipes" ]; then exit 3; fi
git add -A --ignore-errors || true
{_NESTED}end=$(git write-tree)
echo "$end" > "$STORE/end"
cd /
unset GIT_WORK_TREE
compare() {{ git --bare diff-tree -r -M --no-ext-diff --no-textconv --no-color "$@" "$begin" "$end"; }}
compare -p --binary --full-index > "$STORE/patch"
compare --shortstat
"""
_COUNTS = {
    "files": re.compile(rb"(\d+) files? changed"),
    "insertions": re.compile(rb"(\d+) insertions?\("),
    "deletions": re.compile(rb"(\d+) deletions?\("),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """A patch, in a file of the run's directory, and what it changes; a run that has changed nothing has an empty one.

    Open the file without following links: the git that wrote it has read what the run has written.
    """

    path: Path
    bytes: int
    files: int = 0
    insertions: int = 0
    deletions: int = 0


async def begin(shell: Shell, within: float) -> None:
    """Note how the working directory is before the run; raise GitError.

    A repository in it is not read: an earlier turn of the session, or a file of the job, may have made it.
    """
    await shell.run(_BEGIN, places={"work": "read", "store": "write"}, within=within)


async def difference(shell: Shell, within: float) -> Difference | None:
    """Return the difference to what `begin` has noted, in at most so many seconds; None where there is none to be had.

    Call it when all processes of the run have ended, and before its directory is removed.
    """
    if not (shell.root / "store" / "begin").is_file():
        return None
    try:
        printed = await shell.run(_COMPARE, places={"work": "read", "store": "write"}, within=within)
    except GitError as error:
        event(log, "difference_failed", logging.WARNING, status=error.status)
        return None
    path = shell.root / "store" / "patch"
    # A file of the run may have made git write anything, so the patch is not trusted to be a file.
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        event(log, "difference_failed", logging.WARNING, status=None)
        return None
    counts = {name: int(number[1]) for name, count in _COUNTS.items() if (number := count.search(printed))}
    return Difference(path, found.st_size, **counts)
