"""The difference of a workspace: a patch that `git apply` takes, whatever the run has written."""

import shutil
import sys

import pytest

from functions.worker.git.difference import begin, difference
from tests.support.git_server import git

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
WITHIN = 30.0


def write(work, files):
    for name, content in files.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def tree(folder):
    """Return the content and the mode of every file, and where each link points, without repositories."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if ".git" in name.parts or (path.is_dir() and not path.is_symlink()):
            continue
        found[str(name)] = (
            str(path.readlink()) if path.is_symlink() else (path.read_bytes(), path.stat().st_mode & 0o100)
        )
    return found


BEGIN = {
    "kept": b"kept\n",
    "changed": b"a\nb\nc\n",
    "deleted": b"x\n",
    "renamed": b"1\n2\n3\n4\n5\n",
    "mode": b"#!/bin/sh\n",
    "d/e": b"\0\1",
}


@pytest.mark.parametrize("with_git", [True, False])
async def test_a_patch_makes_the_workspace_of_its_beginning(shell, tmp_path, with_git):
    """Catches a kind of change that the patch lacks, or that `git apply` does not take."""
    work = shell.root / "work"
    write(work, BEGIN)
    if with_git:
        git("init", "-q", cwd=work)
        git("add", "-A", cwd=work)
        git("commit", "-qm", "begin", cwd=work)
    copy = tmp_path / "copy"
    shutil.copytree(work, copy, symlinks=True)
    await begin(shell, WITHIN)
    write(work, {"changed": b"a\nB\nc\n", "new/file": b"new\n", "d/e": bytes(range(256)), 'sp ace\n\t"': b"x"})
    (work / "deleted").unlink()
    (work / "renamed").rename(work / "moved")
    (work / "mode").chmod(0o755)
    (work / "link").symlink_to("/etc/passwd")
    (shell.root / "work").joinpath(b"caf\xe9".decode("utf-8", "surrogateescape")).write_bytes(b"latin\n")
    (work / "empty").touch()
    found = await difference(shell, WITHIN)
    assert found is not None
    patch = found.path.read_bytes()
    assert found.bytes == len(patch)
    assert found.files == 10
    assert b"rename from renamed" in patch
    git("apply", "-", cwd=copy, stdin=patch)
    assert tree(copy) == tree(work)


async def test_a_run_that_changes_nothing_has_an_empty_patch(shell):
    write(shell.root / "work", BEGIN)
    await begin(shell, WITHIN)
    found = await difference(shell, WITHIN)
    assert found is not None
    assert (found.bytes, found.files, found.insertions, found.deletions) == (0, 0, 0, 0)


async def test_without_a_beginning_there_is_no_difference(shell):
    assert await difference(shell, WITHIN) is None


@pytest.mark.parametrize("commits", [True, False])
async def test_a_repository_within_the_workspace_counts_by_its_files(shell, tmp_path, commits):
    """Catches a patch that stops at a directory with a `.git`."""
    work = shell.root / "work"
    write(work, {"kept": b"kept\n", ".gitignore": b"ignored/\n"})
    await begin(shell, WITHIN)
    write(work, {"sub dir/a": b"a\n", "sub dir/b/c": b"c\n", "ignored/a": b"x"})
    for place in ("sub dir", "ignored"):
        git("init", "-q", cwd=work / place)
    if commits:
        git("add", "-A", cwd=work / "sub dir")
        git("commit", "-qm", "x", cwd=work / "sub dir")
    found = await difference(shell, WITHIN)
    assert found is not None
    assert found.files == 2
    assert b"+++ b/sub dir/b/c" in found.path.read_bytes()
