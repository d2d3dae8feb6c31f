"""`claude-gateway files`, and files of `ask`, against a running gateway."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.scripted_model import Text, ToolUse

pytestmark = [pytest.mark.once, pytest.mark.slow, pytest.mark.long]
PDF = b"%PDF-1.4 of a test"


@pytest.fixture(scope="module")
def variables():
    return {"CLAUDE_TOOLS": "Bash", "MAX_FILE_BYTES": "3000000"}


@pytest.fixture
def command(gateway, tmp_path):
    program = Path(sys.executable).parent / "claude-gateway"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CLAUDE_GATEWAY_URL": gateway.url}

    def run(*arguments):
        return subprocess.run(
            [program, *arguments], capture_output=True, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL,
            timeout=60, check=False,
        )  # fmt: skip

    return run


def test_a_file_goes_and_comes_back_byte_for_byte(command, tmp_path):
    content = bytes(range(256)) * 8000
    (tmp_path / "a b.bin").write_bytes(content)
    put = command("files", "put", "a b.bin", "--json")
    assert put.returncode == 0, put.stderr
    file = json.loads(put.stdout)
    assert (file["name"], file["size"]) == ("a b.bin", len(content))
    assert command("files", "get", file["fileId"]).stdout == content
    assert command("files", "get", file["fileId"], "-o", "copy").returncode == 0
    assert (tmp_path / "copy").read_bytes() == content
    assert file["fileId"].encode() in command("files", "list").stdout
    assert command("files", "delete", file["fileId"]).returncode == 0
    gone = command("files", "get", file["fileId"], "-o", "copy")
    assert (gone.returncode, gone.stdout) == (2, b"")
    assert (tmp_path / "copy").read_bytes() == content
    assert json.loads(command("files", "list", "--json").stdout)["files"] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a b.bin", "copy"]


@pytest.mark.parametrize("arguments", [
    ("files", "put", "missing"), ("files", "put", "."), ("files", "get", "x"), ("files", "delete", ".."),
    ("files", "put", "large"), ("files", "get", "x", "-o", "no/such/directory"), ("ask", "q", "--file", "missing"),
    ("ask", "q", "--attach", "text"),
])  # fmt: skip
def test_what_cannot_be_sent_or_read_is_one_line_and_status_2(command, tmp_path, arguments):
    (tmp_path / "large").write_bytes(b"x" * 3_000_001)
    (tmp_path / "text").write_text("no image")
    done = command(*arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert b"Traceback" not in done.stderr


def test_ask_sends_files_and_attachments_and_leaves_none(command, tmp_path, model, gateway):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.txt").write_text("of the directory\n")
    (tmp_path / "b.pdf").write_bytes(PDF)
    model.script(ToolUse("Bash", {"command": "cat src/a.txt b.pdf"}), Text("read"))
    given = ("--file", "src/a.txt", "--file", str(tmp_path / "b.pdf"), "--attach", "b.pdf", "--tool", "Bash")
    done = command("ask", "read", *given)
    assert (done.returncode, done.stdout) == (0, b"read\n"), done.stderr
    sent = json.dumps(model.requests[-1].body["messages"])
    assert "of the directory" in sent
    assert "PDF-1.4 of a test" in sent
    assert '"document"' in sent
    assert gateway.client.get("/api/files").json()["files"] == []
