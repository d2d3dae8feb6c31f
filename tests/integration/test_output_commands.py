"""Commands that get what a job has left, and `ask --workspace` with a checkout, against a running gateway."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.client import Client, CommandError
from local.job_outputs import save_artifacts
from local.workspace import git_of
from tests.support.scripted_model import Text, ToolUse

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def variables():
    return {"CLAUDE_TOOLS": "Bash"}


@pytest.fixture
def command(gateway, tmp_path):
    program = Path(sys.executable).parent / "claude-gateway"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CLAUDE_GATEWAY_URL": gateway.url}

    def run(*arguments, given=None):
        return subprocess.run(
            [program, *arguments], capture_output=True, cwd=tmp_path, env=environment, input=given or b"",
            timeout=60, check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def checkout(tmp_path):
    """A git checkout with a tracked, a changed, an untracked and an ignored file, and a link."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    (folder / "tracked.txt").write_text("one\n")
    (folder / ".gitignore").write_text("*.log\n")
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
    (folder / "tracked.txt").write_text("one\ntwo\n")
    (folder / "sub dir").mkdir()
    (folder / "sub dir" / "untracked ä.txt").write_text("untracked\n")
    (folder / "ignored.log").write_text("secret\n")
    (folder / "link").symlink_to("/etc/passwd")
    return folder


@pytest.mark.slow
@pytest.mark.long
def test_a_patch_is_applied_to_the_checkout_that_was_sent(command, model, checkout):
    """Catches ignored files and links that are sent, and a patch that does not fit what was sent."""
    script = "ls -A . 'sub dir' >outputs.txt; echo three >>tracked.txt; rm 'sub dir/untracked ä.txt'; echo new >new"
    model.script(ToolUse("Bash", {"command": script}), Text("done"))
    done = command("ask", "change it", "--tool", "Bash", "--workspace", "checkout", "--apply")
    assert (done.returncode, done.stdout) == (0, b"done\n"), done.stderr
    assert b"+three" in done.stderr
    assert (checkout / "tracked.txt").read_text() == "one\ntwo\nthree\n"
    assert (checkout / "new").read_text() == "new\n"
    assert not (checkout / "sub dir").exists()
    assert sorted((checkout / "outputs.txt").read_text().split("\n")) == sorted(
        [".:", ".gitignore", "outputs.txt", "sub dir", "tracked.txt", "", "sub dir:", "untracked ä.txt", ""]
    )
    assert (checkout / "ignored.log").read_text() == "secret\n"


@pytest.mark.slow
@pytest.mark.long
def test_a_patch_that_does_not_fit_is_named_and_changes_nothing(command, gateway, model, checkout):
    model.script(ToolUse("Bash", {"command": "echo three >>tracked.txt; sleep 2"}), Text("done"))
    (checkout / "tracked.txt").write_text("one\n")
    job = gateway.ask("x", tools=["Bash"], files=[{"path": "tracked.txt", "text": "other\n"}])
    (checkout / "tracked.txt").write_text("mine\n")
    patch = command("jobs", "patch", job["jobId"])
    assert (patch.returncode, patch.stderr) == (0, b"")
    refused = subprocess.run(["git", "apply"], cwd=checkout, input=patch.stdout, capture_output=True, check=False)
    assert refused.returncode != 0
    assert (checkout / "tracked.txt").read_text() == "mine\n"


@pytest.mark.slow
@pytest.mark.long
def test_artifacts_are_listed_and_downloaded(command, gateway, model, tmp_path):
    script = (
        "mkdir -p 'outputs/a b' && printf '\\0x' >'outputs/a b/ä?#%.bin' && ln -s /etc outputs/link && echo >outputs/z"
    )
    model.script(ToolUse("Bash", {"command": script}), Text("done"))
    job_id = gateway.ask("leave files", tools=["Bash"])["jobId"]
    listed = command("jobs", "artifacts", job_id)
    assert (listed.returncode, listed.stderr) == (0, b"1 omitted: not_regular\n")
    assert listed.stdout.decode().splitlines() == ["           2  a b/ä?#%.bin", "           1  z"]
    assert len(json.loads(command("jobs", "artifacts", job_id, "--json").stdout)["artifacts"]) == 2
    assert command("jobs", "artifacts", job_id, "-o", "got").returncode == 0
    assert (tmp_path / "got/a b/ä?#%.bin").read_bytes() == b"\0x"
    assert (tmp_path / "got/z").read_bytes() == b"\n"


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("arguments", [
    ("jobs", "patch", "x"), ("jobs", "artifacts", "x"), ("jobs", "artifacts", "../x", "-o", "got"),
    ("ask", "q", "--workspace", "missing"), ("ask", "q", "--workspace", "."), ("ask", "q", "--apply"),
    ("ask", "q", "--workspace", "https://git.example/r", "--apply"), ("ask", "q", "--push", "b"),
    ("ask", "q", "--workspace", "http://git.example/r"), ("ask", "q", "--workspace", "checkout", "--push", "b"),
])  # fmt: skip
def test_what_is_not_possible_ends_with_status_2(command, checkout, arguments):
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, b""), done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.long
def test_a_checkout_with_more_files_than_a_job_takes_is_refused(command, checkout):
    for number in range(101):
        (checkout / f"{number}.txt").touch()
    done = command("ask", "q", "--workspace", "checkout")
    assert done.returncode == 2
    assert b"a job takes 100" in done.stderr


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "link/x", "a//b"])
def test_a_hostile_gateway_writes_nothing_outside(tmp_path, path):
    """Catches a client that trusts the paths of a response."""
    folder, outside = tmp_path / "got", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    with Client("http://127.0.0.1:9", None) as client, pytest.raises(CommandError):
        save_artifacts(client, "j", {"artifacts": [{"path": path}]}, folder)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["got", "outside"]
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(("text", "url", "ref"), [
    ("https://git.example/a/b.git", "https://git.example/a/b.git", None),
    ("https://git.example/a/b@main", "https://git.example/a/b", "main"),
    ("https://git.example/a@feature/x@1", "https://git.example/a", "feature/x@1"),
    ("https://user@git.example/a", "https://user@git.example/a", None),
])  # fmt: skip
def test_the_ref_is_what_follows_an_at_sign_in_the_path(text, url, ref):
    found = git_of(text)["git"]
    assert (found["url"], found.get("ref")) == (url, ref)
