"""The clone of a repository through the relay, before a run."""

import shutil
import sys

import pytest

from functions.worker.git.clone import clone
from functions.worker.git.difference import begin, difference
from functions.worker.git.served import Remote
from functions.worker.git.shell import WorkspaceError
from tests.integration.git.conftest import LOOPBACK
from tests.support.git_server import PASSWORD, commit, git

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
WITHIN = 60.0


@pytest.fixture
def source(server, tmp_path):
    """A served repository with two commits, a tag, and a branch."""
    folder = tmp_path / "source"
    commit(folder, {"a": "one\n"})
    git("tag", "v1", cwd=folder)
    git("branch", "other", cwd=folder)
    commit(folder, {"a": "two\n", ".gitattributes": "* filter=evil diff=evil\n"})
    server.publish(folder, "a")
    return folder


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        (None, "two\n"), ("main", "two\n"), ("other", "one\n"), ("v1", "one\n"), ("refs/tags/v1", "one\n"),
        ("refs/heads/other", "one\n"), ("commit", "one\n"),
    ],
)  # fmt: skip
async def test_a_branch_a_tag_or_a_commit_is_checked_out(shell, source, access, ref, expected):
    if ref == "commit":
        ref = git("rev-parse", "v1", cwd=source)
    head = await clone(shell, Remote(access(), LOOPBACK), ref, 1, WITHIN)
    work = shell.root / "work"
    assert (work / "a").read_text() == expected
    assert head == git("rev-parse", "HEAD", cwd=work)
    assert git("remote", "get-url", "--push", "origin", cwd=work).endswith(access().place)
    assert len(git("log", "--oneline", cwd=work).splitlines()) == 1
    assert PASSWORD not in (work / ".git" / "config").read_text()
    await begin(shell, WITHIN)
    (work / "a").write_text("three\n")
    found = await difference(shell, WITHIN)
    assert found is not None
    assert (found.files, found.insertions, found.deletions) == (1, 1, 1)


async def test_depth_is_the_number_of_commits(shell, source, access):
    await clone(shell, Remote(access(), LOOPBACK), None, 2, WITHIN)
    assert len(git("log", "--oneline", cwd=shell.root / "work").splitlines()) == 2


async def test_a_strange_path_of_a_repository_is_one_path(shell, source, access, server):
    """Catches a path that a shell or the settings of git take apart."""
    name = "a=b;c'd$(id)"
    server.publish(source, name)
    await clone(shell, Remote(access(name), LOOPBACK), None, 1, WITHIN)
    assert (shell.root / "work" / "a").read_text() == "two\n"
    assert git("remote", "get-url", "origin", cwd=shell.root / "work").count(name) == 1


async def failure(shell, access, ref=None, networks=LOOPBACK):
    shutil.rmtree(shell.root / "work")
    with pytest.raises(WorkspaceError) as raised:
        await clone(shell, Remote(access, networks), ref, 1, WITHIN)
    return raised.value


async def test_each_failure_has_words_of_its_own(shell, source, access, server):
    assert "refused the credential" in (await failure(shell, access(credential="robot:wrong"))).message
    assert "requires a credential" in (await failure(shell, access(credential=""))).message
    assert "no such repository" in (await failure(shell, access("b"))).message
    assert "no branch, tag or commit 'nothing'" in (await failure(shell, access(), "nothing")).message
    assert "no branch, tag or commit" in (await failure(shell, access(), "f" * 40)).message
    assert "not public" in (await failure(shell, access(), networks=())).message
    server.answer = lambda _: (302, {"Location": "https://example.com/"})
    assert "redirects" in (await failure(shell, access())).message
    server.answer = lambda _: (500, {})
    assert "status 500" in (await failure(shell, access())).message
