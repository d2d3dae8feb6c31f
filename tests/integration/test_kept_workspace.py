"""A working directory that is kept with its session: the next turn finds it as it was."""

import io
import os
import tarfile

import pytest

from functions.worker.outputs.archive import ArchiveError, pack, unpack
from tests.integration.test_artifacts import tool_results
from tests.support.object_store import STORES, ObjectStore
from tests.support.scripted_model import Text, ToolUse

pytestmark = pytest.mark.once


@pytest.fixture(scope="module", params=STORES)
def variables(request):
    common = {"CLAUDE_TOOLS": "Bash", "MAX_FILE_BYTES": "100000", "CLAUDE_MAX_RETRIES": "1"}
    if request.param == "directory":
        yield common
        return
    with ObjectStore() as s3:
        yield {**common, **s3.variables}


def turn(gateway, model, command, **fields):
    model.script(ToolUse("Bash", {"command": command}), Text("done"))
    job = gateway.ask(f"run {command}"[:200], tools=["Bash"], **fields)
    assert job["state"] == "completed", job
    return job


@pytest.mark.slow
def test_the_next_turn_finds_the_files_as_they_were(gateway, model):
    """Catches files, modes, links, times or a repository that a turn loses, and a patch against the wrong beginning."""
    files = [{"path": "a.txt", "text": "one\n"}]
    command = (
        "echo two >>a.txt; mkdir -p d/e; echo x >d/e/x; chmod 750 d/e/x; ln -s ../a.txt d/link; touch -d @1 d/old; "
        "chmod 500 d/e; git init -q r; cd r; git config user.email a@b; git config user.name a; echo 1 >f; git add f; "
        "git commit -qm 1; echo 2 >f"
    )
    first = turn(gateway, model, command, session=True, files=files)
    session = first["result"]["sessionId"]
    look = "cat a.txt; stat -c %a d/e/x d/e; readlink d/link; stat -c %Y d/old; "
    look += "cd r; git status --porcelain; git log -1 --format=%s"
    second = turn(gateway, model, f"{look}; echo three >>../a.txt", sessionId=session)
    assert second["result"]["sessionId"] == session
    seen = tool_results(model)
    assert "one\\ntwo\\n750\\n500\\n../a.txt\\n1\\n M f\\n1" in seen, seen
    assert (second["result"]["patch"]["insertions"], second["result"]["patch"]["deletions"]) == (1, 0)
    third = turn(gateway, model, "cat a.txt", sessionId=session, files=[{"path": "a.txt", "text": "replaced\n"}])
    assert "replaced" in tool_results(model)
    assert third["result"]["patch"]["files"] == 0


@pytest.mark.slow
@pytest.mark.long
def test_a_session_without_tools_keeps_the_files_of_the_turn_before(gateway, model):
    first = turn(gateway, model, "echo kept >a", session=True)
    session = first["result"]["sessionId"]
    model.script(Text("talked"))
    assert gateway.ask("no tools", sessionId=session)["state"] == "completed"
    turn(gateway, model, "cat a", sessionId=session)
    assert "kept" in tool_results(model)


@pytest.mark.slow
def test_another_session_does_not_find_the_files(gateway, model):
    turn(gateway, model, "echo secret >a", session=True)
    turn(gateway, model, "ls -A; cat a", session=True)
    assert "secret" not in tool_results(model).replace("echo secret", "")


@pytest.mark.slow
@pytest.mark.long
def test_clients_do_not_see_the_archive(gateway, model):
    """Catches an archive that is listed, and old ones that stay until the quota is full."""
    session = turn(gateway, model, "echo 1 >a", session=True)["result"]["sessionId"]
    turn(gateway, model, "echo 2 >a", sessionId=session)
    names = {file["name"] for file in gateway.client.get("/api/files?limit=100").json()["files"]}
    assert "workspace.tar.gz" not in names


def test_an_archive_is_packed_and_unpacked_within_bounds(tmp_path):
    work, target = tmp_path / "work", tmp_path / "a.tar.gz"
    work.mkdir()
    (work / os.fsdecode(b"\xff")).write_bytes(b"1" * 100)
    os.mkfifo(work / "pipe")
    (work / "link").symlink_to("/etc/passwd")
    pack(work, target, 100)
    empty = tmp_path / "empty"
    empty.mkdir()
    unpack(target, empty, 100)
    assert sorted(one.name for one in empty.iterdir()) == ["link", os.fsdecode(b"\xff")]
    for use in (lambda: pack(work, tmp_path / "b", 99), lambda: unpack(target, tmp_path / "work", 99)):
        with pytest.raises(ArchiveError):
            use()


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "link/x", "."])
def test_an_archive_writes_nothing_outside(tmp_path, name):
    """Catches an archive, changed in the object store, that writes beside the working directory or through a link."""
    outside, work = tmp_path / "outside", tmp_path / "work"
    outside.mkdir()
    work.mkdir()
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        archive.addfile(link)
        file = tarfile.TarInfo(name)
        file.size = 1
        archive.addfile(file, io.BytesIO(b"x"))
    with pytest.raises(ArchiveError):
        unpack(tmp_path / "a.tar.gz", work, 1000)
    assert list(outside.iterdir()) == []
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.tar.gz", "outside", "work"]


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\x1f\x8b" + b"0" * 50])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "work").mkdir()
    with pytest.raises(ArchiveError):
        unpack(tmp_path / "a", tmp_path / "work", 1000)
