"""Which MCP servers a job has used is counted when it has ended: the whole gateway, with the real CLI."""

import json
from pathlib import Path

import pytest

from tests.support.scripted_model import Text, ToolUse
from tests.support.waiting import until

pytestmark = [pytest.mark.once, pytest.mark.slow, pytest.mark.long]
QUICK = Path(__file__).parents[1] / "support" / "quick_mcp_server.py"
ADMIN = ("admin", "correct-horse-battery")


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    entry = {"command": "python", "args": ["-S", str(QUICK)], "routing": {"keywords": ["is the picnic on"]}}
    path = tmp_path_factory.mktemp("mcp") / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"used": entry, "idle": {**entry, "timeout": 9000}}}))
    return {
        "MCP_ENABLED": "true", "MCP_CONFIG": str(path), "MCP_LEARN": "true", "CACHE_TTL": "0",
        "ADMIN_ENABLED": "true", "ADMIN_PASSWORD": ADMIN[1],
    }  # fmt: skip


def test_a_job_counts_the_servers_that_it_called(gateway, script):
    """Catches counts that are never written, and a server that was only offered."""
    script(lambda body: Text("done") if len(body["messages"]) > 2 else ToolUse("mcp__used__environment", {}))
    job = gateway.ask("Is the picnic on?")
    assert (job["state"], job["mcpServers"]) == ("completed", ["idle", "used"])

    def learned():
        shown = gateway.client.get("/admin/api/mcp", auth=ADMIN).json()["servers"]
        return {one["name"]: one["learned"] for one in shown}

    until(lambda: learned() == {"used": {"offered": 1, "used": 1}, "idle": {"offered": 1, "used": 0}})
