"""The patch of a run that has files: the whole way with the real CLI, and `git apply` on the files that were given."""

import base64
import subprocess

import pytest

from tests.support.parameters import first_of
from tests.support.scripted_model import Text, ToolUse

pytestmark = [pytest.mark.once, pytest.mark.slow]

GIVEN = {"a.txt": "one\ntwo\n", "sub/b.txt": "b\n", "gone.txt": "gone\n", "old name.txt": "moved\n" * 9}
CHANGE = r"""
printf 'one\nTWO\n' >a.txt; rm gone.txt; mv 'old name.txt' 'new name.txt'; printf '\0\1\377' >binary
mkdir -p new && echo x >'new/ä.txt' && echo run >run.sh && chmod +x run.sh && ln -s a.txt link
mkdir outputs && echo artifact >outputs/artifact
"""


@pytest.fixture(scope="module")
def variables():
    return {
        "CLAUDE_TOOLS": "Bash,Read",
        "MAX_FILE_BYTES": "1000000",
        "MAX_CALLER_FILE_BYTES": "3000000",
        "CLAUDE_MAX_RETRIES": "1",
    }


def run(gateway, model, command, **fields):
    model.script(ToolUse("Bash", {"command": command}), Text("done"))
    files = [{"path": path, "text": text} for path, text in GIVEN.items()]
    return gateway.ask("change the files", tools=["Bash"], **{"files": files, **fields})


def patch_of(gateway, job):
    return gateway.client.get(f"/api/query/{job['jobId']}/patch", follow_redirects=True)


def applied(folder, patch):
    """Apply a patch to the given files in a new directory, and return the directory."""
    for path, text in GIVEN.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(["git", "apply", "--allow-empty"], cwd=folder, input=patch, check=True)
    return folder


def test_the_patch_applies_to_the_files_that_were_given(gateway, model, tmp_path):
    """Catches new, deleted, renamed, binary and executable files that a patch leaves out or that git refuses."""
    job = run(gateway, model, CHANGE)
    assert job["state"] == "completed", job
    answer = patch_of(gateway, job)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/x-diff")
    summary = job["result"]["patch"]
    assert summary == {"files": 7, "insertions": 4, "deletions": 2, "bytes": len(answer.content)}
    folder = applied(tmp_path, answer.content)
    assert (folder / "a.txt").read_text() == "one\nTWO\n"
    assert not (folder / "gone.txt").exists()
    assert (folder / "new name.txt").read_text() == GIVEN["old name.txt"]
    assert (folder / "binary").read_bytes() == b"\0\1\377"
    assert (folder / "new/ä.txt").read_text() == "x\n"
    assert (folder / "run.sh").stat().st_mode & 0o111
    assert (folder / "link").readlink().name == "a.txt"
    assert not (folder / "outputs").exists()
    assert [one["path"] for one in job["result"]["artifacts"]] == ["artifact"]


@pytest.mark.long
def test_a_run_that_changes_nothing_has_an_empty_patch(gateway, model, tmp_path):
    job = run(gateway, model, "cat a.txt")
    assert job["result"]["patch"] == {"files": 0, "insertions": 0, "deletions": 0, "bytes": 0}
    answer = patch_of(gateway, job)
    assert (answer.status_code, answer.content) == (200, b"")
    applied(tmp_path, answer.content)


def test_a_failed_job_has_its_patch(gateway, model):
    model.script(ToolUse("Bash", {"command": "echo half >a.txt"}))
    job = gateway.ask("fail", tools=["Bash"], maxTurns=1, files=[{"path": "a.txt", "text": "whole\n"}])
    assert job["state"] == "failed"
    assert b"+half" in patch_of(gateway, job).content


@pytest.mark.long
def test_a_patch_above_the_limit_is_omitted_and_named(gateway, model):
    job = run(gateway, model, "head -c 2000000 /dev/urandom >large")
    assert job["state"] == "completed", job
    assert (job["result"]["patch"], job["result"]["omitted"]) == (None, {"patch_too_large": 1})


@pytest.mark.parametrize("planted", first_of([
    "git init -q && git config core.fsmonitor 'touch /tmp/planted' && git config core.hooksPath .",
    "printf '[core]\\n\\tfsmonitor = touch outputs/planted\\n' >.gitconfig; mkdir .git; cp .gitconfig .git/config",
    "echo '* filter=x diff=x' >.gitattributes; echo 'gitdir: /etc' >.git",
    "ln -s /etc .git", "mkfifo pipe; mkfifo .git", "ln -s /dev/zero .gitignore", "ln -s /etc/passwd .gitattributes",
]))  # fmt: skip
def test_what_a_run_plants_for_git_is_not_run(gateway, model, planted):
    """Catches a patch that runs a program of the run, hangs, or shows a file from outside."""
    # The CLI itself denies commands that name git's own files.
    hidden = base64.b64encode(f"{planted}; echo changed >a.txt".encode()).decode()
    job = run(gateway, model, f"echo {hidden} | base64 -d | bash")
    assert job["state"] == "completed", job
    content = patch_of(gateway, job).content
    assert b"+changed" in content
    assert b"root:" not in content


def test_a_pipe_that_git_would_read_ends_the_comparison(gateway, model):
    """Catches a slot that waits for a minute, or for ever, for a pipe that a run has planted."""
    job = run(
        gateway, model, f"echo {base64.b64encode(b'mkdir d; mkfifo d/.gitattributes').decode()} | base64 -d | bash"
    )
    assert job["state"] == "completed", job
    assert (job["result"]["patch"], job["result"]["omitted"]) == (None, {"patch_failed": 1})


@pytest.mark.long
def test_files_beyond_the_quota_are_omitted_and_the_answer_stays(gateway, model):
    """Catches a paid answer that is lost because its caller's storage is full."""
    job = run(gateway, model, "mkdir outputs; for n in 1 2 3 4; do head -c 900000 /dev/urandom >outputs/$n; done")
    assert job["state"] == "completed", job
    assert len(job["result"]["artifacts"]) in {2, 3}
    assert job["result"]["omitted"] == {"storage_full": 4 - len(job["result"]["artifacts"])}
    for one in gateway.client.get("/api/files?limit=100").json()["files"]:
        gateway.client.delete(f"/api/files/{one['fileId']}").raise_for_status()
