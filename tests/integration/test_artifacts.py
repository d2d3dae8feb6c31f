"""What a run leaves in `outputs/`: the whole way with the real CLI, and bad names, kinds and numbers of files."""

import hashlib
import json
import os
import stat
from collections import Counter

import pytest

from functions.worker.cli.removal import remove_tree
from functions.worker.outputs import artifacts
from tests.support.object_store import STORES, ObjectStore
from tests.support.parameters import first_of
from tests.support.scripted_model import Text, ToolUse

# The handlers are those of every file: `test_files`, `test_every_route`.
pytestmark = pytest.mark.once

UNKNOWN = "01a00000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module", params=STORES)
def variables(request):
    """A gateway whose files are in a directory, and one whose files are in S3."""
    common = {"CLAUDE_TOOLS": "Bash", "MAX_FILE_BYTES": "100000", "CLAUDE_MAX_RETRIES": "1"}
    if request.param == "directory":
        yield common
        return
    with ObjectStore() as s3:
        yield {**common, **s3.variables}


def tool_results(model):
    """Return the tool results of the last request as JSON."""
    found = []
    for message in model.requests[-1].body["messages"]:
        blocks = message["content"] if isinstance(message["content"], list) else []
        found += [json.dumps(block.get("content")) for block in blocks if block["type"] == "tool_result"]
    return "\n".join(found)


def run(gateway, model, command, **fields):
    """Run a job whose model calls Bash with a command."""
    model.script(ToolUse("Bash", {"command": command}), Text("done"))
    return gateway.ask(f"run {command}"[:200], tools=["Bash"], **fields)


def listed(gateway, job):
    answer = gateway.client.get(f"/api/query/{job['jobId']}/artifacts")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_job_that_is_seen_as_completed_has_its_artifacts(gateway, model):
    """Catches artifacts that come after the state, at another path, or with other bytes."""
    job = run(gateway, model, "mkdir -p outputs/a && printf 'x,y\\n' >outputs/a/'ä b.csv'; printf 1 >outputs/z")
    assert job["state"] == "completed", job
    found = job["result"]["artifacts"]
    assert [(one["path"], one["size"], one["mediaType"]) for one in found] == [
        ("a/ä b.csv", 4, "text/csv"), ("z", 1, "application/octet-stream"),
    ]  # fmt: skip
    assert found[0]["sha256"] == hashlib.sha256(b"x,y\n").hexdigest()
    assert listed(gateway, job) == {"artifacts": found, "omitted": {}}
    place = f"/api/query/{job['jobId']}/artifacts"
    content = gateway.client.get(f"{place}/a/ä b.csv", follow_redirects=True)
    assert (content.status_code, content.content) == (200, b"x,y\n")
    assert "attachment" in content.headers["content-disposition"]
    # A store that answers by itself has names of its own for contents.
    assert content.history or content.headers["etag"] == f'"{found[0]["sha256"]}"'
    assert gateway.client.get(f"{place}/a%2F%C3%A4%20b.csv", follow_redirects=True).content == b"x,y\n"
    for path in ("a", "nothing", "../z", "%2e%2e/z", "", "%00", "%ff"):
        assert gateway.client.get(f"{place}/{path}").status_code in {404, 422}, path
    assert gateway.client.get(f"/api/files/{found[1]['fileId']}").json()["name"] == "z"


@pytest.mark.slow
@pytest.mark.long
def test_an_artifact_is_a_file_for_the_next_job(gateway, model):
    first = run(gateway, model, "mkdir outputs && echo made >outputs/a")
    files = [{"path": "in", "fileId": first["result"]["artifacts"][0]["fileId"]}]
    job = run(gateway, model, "mkdir outputs && tr a-z A-Z <in >outputs/b", files=files)
    [found] = job["result"]["artifacts"]
    answer = gateway.client.get(f"/api/query/{job['jobId']}/artifacts/{found['path']}", follow_redirects=True)
    assert answer.content == b"MADE\n"


def test_a_failed_job_has_its_artifacts(gateway, model):
    """Catches outputs that are kept for successes only."""
    model.script(ToolUse("Bash", {"command": "mkdir outputs && echo half >outputs/a"}))
    job = gateway.ask("fail", tools=["Bash"], maxTurns=1)
    assert (job["state"], job["error"]["code"], job["result"]) == ("failed", "max_turns", None)
    assert [one["path"] for one in listed(gateway, job)["artifacts"]] == ["a"]


@pytest.mark.slow
@pytest.mark.long
def test_a_job_that_times_out_has_its_artifacts(gateway, model):
    model.script(ToolUse("Bash", {"command": "mkdir outputs && echo half >outputs/a && sleep 60"}))
    job = gateway.ask("time out", tools=["Bash"], timeoutMs=10_000)
    assert (job["state"], job["error"]["code"]) == ("failed", "timeout")
    assert [one["path"] for one in listed(gateway, job)["artifacts"]] == ["a"]


def test_a_cancelled_job_has_its_artifacts_soon(gateway, model):
    model.script(ToolUse("Bash", {"command": "mkdir outputs && echo half >outputs/a && echo go && sleep 60"}))
    job_id = gateway.submit("cancel", tools=["Bash"])
    gateway.until(
        lambda: [one for one in gateway.run_directories() if (one / "work/outputs/a").exists()], lambda seen: seen
    )
    assert gateway.client.get(f"/api/query/{job_id}/artifacts").json()["code"] == "not_finished"
    gateway.client.delete(f"/api/query/{job_id}").raise_for_status()
    found = gateway.until(lambda: listed(gateway, {"jobId": job_id})["artifacts"], lambda seen: seen)
    assert [one["path"] for one in found] == ["a"]


def test_a_job_without_outputs_has_an_empty_list(gateway, model):
    job = run(gateway, model, "echo nothing")
    assert (job["result"]["artifacts"], job["result"]["patch"], job["result"]["commit"]) == ([], None, None)
    assert "omitted" not in job["result"]
    assert listed(gateway, job) == {"artifacts": [], "omitted": {}}
    assert gateway.client.get(f"/api/query/{job['jobId']}/patch").json()["code"] == "not_found"
    for path in ("artifacts", "artifacts/a", "patch"):
        for job_id in (UNKNOWN, "x"):
            assert gateway.client.get(f"/api/query/{job_id}/{path}").status_code == 404


BAD = {
    "a link to a file outside": ("ln -s /etc/passwd outputs/a", {"not_regular": 1}),
    "a link to a directory outside": ("ln -s /etc outputs/a", {"not_regular": 1}),
    "a link to a directory inside": ("mkdir x && echo >x/y && ln -s ../x outputs/a", {"not_regular": 1}),
    "a link to itself": ("ln -s a outputs/a", {"not_regular": 1}),
    "a pipe": ("mkfifo outputs/a", {"not_regular": 1}),
    "a file above the limit": ("head -c 100001 /dev/zero >outputs/a", {"too_large": 1}),
    "a sparse file of a terabyte": ("truncate -s 900M outputs/a", {"too_large": 1}),
    "a name that is not UTF-8": ("touch outputs/$'\\xff'", {"invalid_name": 1}),
    "a path of 1,205 bytes": (
        "p=outputs; for n in 1 2 3 4 5 6; do p=$p/$(printf %0200d 0); done; mkdir -p $p && touch $p/a",
        {"invalid_name": 1},
    ),
    "a line break": ("touch outputs/$'a\\nb'", {"invalid_name": 1}),
    "an escape sequence": ("touch outputs/$'\\e[2J'", {"invalid_name": 1}),
}  # fmt: skip


def test_bad_outputs_are_omitted_and_named(gateway, model):
    """Catches any of them that is kept or counted under another reason."""
    commands = (f"({command.replace('outputs/', f'outputs/{at}')})" for at, (command, _) in enumerate(BAD.values()))
    job = run(gateway, model, f"mkdir outputs; {'; '.join(commands)}; echo good >outputs/good")
    assert job["state"] == "completed", job
    assert [one["path"] for one in job["result"]["artifacts"]] == ["good"]
    assert job["result"]["omitted"] == sum((Counter(omitted) for _, omitted in BAD.values()), Counter())


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("case", BAD)
def test_a_bad_output_is_omitted_and_named(gateway, model, case):
    """Catches bytes from outside of `outputs/`, a worker that hangs, and a job that fails for one file."""
    command, omitted = BAD[case]
    job = run(gateway, model, f"mkdir outputs; {command}; echo good >outputs/good")
    assert job["state"] == "completed", job
    assert [one["path"] for one in job["result"]["artifacts"]] == ["good"]
    assert job["result"]["omitted"] == omitted


@pytest.mark.parametrize(
    "command", first_of(["ln -s /etc outputs", "echo x >outputs", "mkfifo outputs", "ln -s . outputs"])
)
def test_outputs_that_is_no_directory_is_omitted(gateway, model, command):
    job = run(gateway, model, command)
    assert (job["state"], job["result"]["artifacts"]) == ("completed", [])
    assert job["result"]["omitted"] == {"not_regular": 1}


@pytest.mark.slow
@pytest.mark.long
def test_unreadable_directories_and_hard_links_are_read(gateway, model):
    command = "mkdir -p outputs/d && echo 1 >outputs/d/a && ln outputs/d/a outputs/b && chmod 0 outputs/d outputs"
    job = run(gateway, model, command)
    assert [one["path"] for one in job["result"]["artifacts"]] == ["b", "d/a"]


@pytest.mark.slow
@pytest.mark.long
def test_an_archive_is_an_artifact_like_any_other(gateway, model):
    """Catches a worker that unpacks what a run has packed."""
    bomb = "import zipfile;z=zipfile.ZipFile('outputs/bomb.zip','w',8);z.writestr('a',b'0'*50000000);z.close()"
    job = run(gateway, model, f'mkdir outputs && python3 -c "{bomb}"')
    [found] = job["result"]["artifacts"]
    assert (found["path"], found["mediaType"]) == ("bomb.zip", "application/zip")
    assert found["size"] < 100_000


@pytest.mark.slow
@pytest.mark.long
def test_the_first_thousand_of_a_hundred_thousand_files_are_kept(gateway, model, variables):
    if "AWS_REGION" in variables:
        pytest.skip("a thousand uploads to the S3 of the tests take a minute")
    command = "mkdir outputs && cd outputs && seq -w 1 100000 | xargs touch"
    job = run(gateway, model, command)
    assert job["state"] == "completed", job
    kept = [one["path"] for one in job["result"]["artifacts"]]
    assert kept == [f"{number:06}" for number in range(1, len(kept) + 1)]
    assert 900 < len(kept) <= 1000
    assert job["result"]["omitted"] == {"too_many": 100_000 - len(kept)}


def test_devices_and_races_are_refused(tmp_path):
    """Catches a file that is replaced by a link or a device between the list and the opening."""
    root = tmp_path / "outputs"
    root.mkdir()
    (root / "a").write_text("1")
    found = artifacts.find(tmp_path, largest=100, most_bytes=100)
    assert (found.sizes, dict(found.omitted)) == ({"a": 1}, {})
    (root / "a").unlink()
    (root / "a").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="not a regular file"):
        artifacts.open_regular(root, "a")
    (root / "d").symlink_to("/etc")
    with pytest.raises(OSError, match=r"."):
        artifacts.open_regular(root, "d/passwd")
    (root / "a").unlink()
    os.mkfifo(root / "a")
    with pytest.raises(OSError, match="not a regular file"):
        artifacts.open_regular(root, "a")
    if os.geteuid() == 0:
        os.mknod(root / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    assert artifacts.find(tmp_path, largest=100, most_bytes=100).sizes == {}


def test_many_long_names_are_listed_within_bounds(tmp_path):
    """Catches a list of paths that makes a result too large for Redis, a spool file or a Lambda answer."""
    root = tmp_path / "outputs" / ("d" * 200)
    root.mkdir(parents=True)
    for number in range(3000):
        (root / f"{number:04}{'ä' * 100}").touch()
    found = artifacts.find(tmp_path, largest=100, most_bytes=100)
    assert len(json.dumps(list(found.sizes))) < 262_144
    assert len(found.sizes) + found.omitted["too_many"] == 3000


def test_a_deep_tree_ends_no_worker(tmp_path):
    folder = tmp_path / "outputs"
    folder.mkdir()
    (folder / "a").touch()
    handle = os.open(folder, os.O_RDONLY)
    for _ in range(2000):
        os.mkdir("d", dir_fd=handle)
        below = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)
    found = artifacts.find(tmp_path, largest=100, most_bytes=100)
    remove_tree(folder)  # pytest cannot
    assert (found.sizes, dict(found.omitted)) == ({"a": 0}, {"invalid_name": 1})
