"""MCP servers that get their header from the caller of a run, with the real CLI."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import running
from tests.support.scripted_model import Text, ToolUse

pytestmark = [pytest.mark.once, pytest.mark.slow]
ADMIN = ("admin", "correct-horse-battery")
PROGRAM = Path(__file__).parents[1] / "support" / "web_mcp_server.py"
# What the server expects.
SECRET = "s3cret"


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    command = [sys.executable, "-S", str(PROGRAM)]
    with running(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)) as server:
        assert server.stdout is not None
        entry = {
            "type": "http", "url": f"http://127.0.0.1:{int(server.stdout.readline())}/mcp",
            "headers": {"Authorization": "Bearer ${credential.far}"},
        }  # fmt: skip
        servers = {"far": {**entry, "routing": {"keywords": ["ask far"]}}}
        servers["must"] = {**entry, "routing": {"keywords": ["must ask"], "required": True}}
        path = tmp_path_factory.mktemp("mcp") / "mcp.json"
        path.write_text(json.dumps({"mcpServers": servers}))
        yield {
            "MCP_ENABLED": "true", "MCP_CONFIG": str(path), "CLAUDE_TOOLS": "Bash", "CLAUDE_MAX_RETRIES": "1",
            "CACHE_TTL": "0", "LOG_LEVEL": "DEBUG", "ADMIN_ENABLED": "true", "ADMIN_PASSWORD": ADMIN[1],
        }  # fmt: skip


@pytest.fixture
def put(gateway):
    def put(value=SECRET, **fields):
        body = {"kind": "header", "value": value, **fields}
        assert gateway.client.put("/api/credentials/far", json=body).status_code in {200, 201}

    yield put
    gateway.client.delete("/api/credentials/far")


def calls(model, script, tool, arguments):
    """Let the model use a tool once; return where its result can be read."""
    before = len(model.requests)
    script(lambda body: Text("done") if len(model.requests) > before + 1 else ToolUse(tool, arguments))
    return lambda: json.dumps(model.requests[-1].body["messages"])


def test_a_server_answers_the_caller_that_has_its_value(gateway, model, script, put):
    put(hosts=["127.0.0.1.example"])
    assert gateway.ask("without", mcpServers=["far"])["mcp"]["unavailable"] == ["far"]
    put()
    result = calls(model, script, "mcp__far__echo", {"a": "the argument"})
    job = gateway.ask("with", mcpServers=["far"])
    assert (job["state"], job["mcp"]["unavailable"]) == ("completed", [])
    assert "session-" in result()
    assert gateway.client.get("/api/credentials/far").json()["lastUsedAt"]
    admin = gateway.client.get(f"/admin/api/jobs/{job['jobId']}", auth=ADMIN).text
    for place in (result(), json.dumps(job), admin, "".join(gateway.log)):
        assert SECRET not in place


def test_a_run_finds_no_trace_of_the_value(gateway, model, script, put):
    """Catches a header in a variable, a file or a process of the run."""
    put()
    pattern = f"{SECRET[:3]}[{SECRET[3]}]{SECRET[4:]}"
    command = (
        f"(env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline) 2>/dev/null | tr '\\0' '\\n' |"
        f" grep -a -e '{pattern}' -e ^CLAUDE_CONFIG_DIR | head -50;"
        f' grep -r \'{pattern}\' . "$HOME" "$CLAUDE_CONFIG_DIR"'
    )
    result = calls(model, script, "Bash", {"command": command})
    job = gateway.ask("look around", tools=["Bash"], mcpServers=["far"])
    assert job["state"] == "completed", job
    assert "CLAUDE_CONFIG_DIR=" in result(), "it did not look"
    assert SECRET not in result()


def test_a_required_server_without_a_value_fails_the_job(gateway):
    job = gateway.ask("we must ask, please")
    assert (job["mcpServers"], job["error"]["code"]) == (["must"], "mcp_unavailable")
