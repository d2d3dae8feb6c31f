"""What a run has committed or changed is pushed to one branch, out of a repository of the gateway's own."""

import os
import sys
from dataclasses import replace

import pytest

from functions.worker.git.clone import clone
from functions.worker.git.commits import commit_of, push
from functions.worker.git.difference import begin, difference
from functions.worker.git.served import Remote
from functions.worker.git.shell import WorkspaceError
from tests.integration.git.conftest import LOOPBACK
from tests.support.git_server import commit, git

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
WITHIN = 60.0


@pytest.fixture
async def begun(shell, server, access, tmp_path):
    """Return the commit that a run began with: a repository of three commits, cloned with a depth of 1."""
    for number in range(3):
        commit(tmp_path / "source", {"a": f"{number}\n"})
    server.publish(tmp_path / "source", "a")
    began = await clone(shell, Remote(access(), LOOPBACK), None, 1, WITHIN)
    (shell.root / "work" / "given").write_text("a file of the job\n")
    await begin(shell, WITHIN)
    return began


async def pushed(shell, access, began, branch="work"):
    assert await difference(shell, WITHIN) is not None
    found = await commit_of(shell, began, "Changes of a job")
    if found is not None:
        await push(shell, Remote(replace(access(), push=branch), LOOPBACK), found, branch, WITHIN)
    return found


def show(server, what):
    return git("show", "--format=%an %s", "--name-only", what, cwd=server.folder / "a.git")


async def test_the_commits_of_a_run_are_pushed_as_they_are(shell, access, server, begun):
    work = shell.root / "work"
    (work / "b").write_text("b\n")
    git("add", "b", cwd=work)
    git("commit", "-qm", "mine", cwd=work)
    (work / "c").write_text("not committed\n")
    head = git("rev-parse", "HEAD", cwd=work)
    assert await pushed(shell, access, begun) == head
    assert show(server, "work") == "A mine\n\nb"
    assert git("rev-parse", "work~1", "main", cwd=server.folder / "a.git").split() == [begun, begun]


async def test_changes_of_a_run_that_commits_nothing_are_one_commit(shell, access, server, begun):
    """Catches a commit with a file that was only given to the run."""
    (shell.root / "work" / "a").write_text("changed\n")
    (shell.root / "work" / "new").write_text("new\n")
    found = await pushed(shell, access, begun, "main")
    assert show(server, "main") == "Claude Changes of a job\n\na\nnew"
    assert git("rev-parse", "main", "main~1", cwd=server.folder / "a.git").split() == [found, begun]


async def test_a_push_of_many_bytes_arrives_whole(shell, access, server, begun):
    """Catches a body in chunks that the relay cuts or joins wrongly: git sends more than a megabyte so."""
    content = os.urandom(5 << 20)
    (shell.root / "work" / "large").write_bytes(content)
    found = await pushed(shell, access, begun)
    assert any(one.headers.get("transfer-encoding") == "chunked" for one in server.requests)
    fetched = shell.root / "fetched"
    git("clone", "-q", "--branch", "work", str(server.folder / "a.git"), str(fetched), cwd=shell.root)
    assert (fetched / "large").read_bytes() == content
    assert git("rev-parse", "HEAD", cwd=fetched) == found


async def test_a_run_that_changes_nothing_pushes_nothing(shell, access, server, begun):
    assert await pushed(shell, access, begun) is None
    assert "work" not in git("branch", "--list", cwd=server.folder / "a.git")


async def test_a_push_is_never_forced(shell, access, server, begun):
    there = server.folder / "a.git"
    other = git("commit-tree", "main^{tree}", "-p", "main", "-m", "meanwhile", cwd=there)
    git("update-ref", "refs/heads/work", other, cwd=there)
    (shell.root / "work" / "a").write_text("changed\n")
    with pytest.raises(WorkspaceError, match="has other commits"):
        await pushed(shell, access, begun)
    assert git("rev-parse", "work", cwd=there) == other


@pytest.mark.parametrize("damage", ["other history", "amended", "removed object"])
async def test_commits_that_do_not_continue_the_beginning_are_not_pushed(shell, access, server, begun, damage):
    work = shell.root / "work"
    if damage == "other history":
        git("checkout", "-q", "--orphan", "new", cwd=work)
        git("commit", "-qm", "unrelated", cwd=work)
    if damage == "amended":
        git("commit", "-q", "--amend", "-m", "amended", cwd=work)
    if damage == "removed object":
        commit(work, {"b": "x"})
        blob = git("rev-parse", "HEAD:b", cwd=work)
        (work / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(WorkspaceError, match="commits of the run"):
        await pushed(shell, access, begun)
    assert "work" not in git("branch", "--list", cwd=server.folder / "a.git")
