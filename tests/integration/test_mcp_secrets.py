"""The API starts without the MCP servers' secrets; a worker names a missing one at the start."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.support.ports import free_port
from tests.support.processes import running

COMMAND = str(Path(sys.executable).parent / "claude-gateway")
SERVERS = {"mcpServers": {"tickets": {"url": "https://mcp.example/", "headers": {"Authorization": "${TICKETS}"}}}}


@pytest.fixture
def variables(tmp_path):
    (tmp_path / "mcp.json").write_text(json.dumps(SERVERS))
    # No Redis listens there: settings are read before the first connection.
    return {"PATH": os.environ["PATH"], "MCP_ENABLED": "true", "REDIS_URL": "redis://127.0.0.1:1/0"}


@pytest.mark.slow
@pytest.mark.long
def test_the_api_starts_and_routes_without_the_secrets(tmp_path, variables):
    port = free_port()
    served = {**variables, "PORT": str(port)}
    process = subprocess.Popen(
        [COMMAND, "api"], cwd=tmp_path, env=served, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with (
        running(process) as api,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client,
    ):
        assert answers(client, api)
        answer = client.post("/api/mcp/route", json={"query": "which tickets are open?"})
        assert [score["server"] for score in answer.json()["scores"]] == ["tickets"]


def answers(client, api):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and api.poll() is None:
        try:
            return client.get("/health/live").status_code == 200
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(api.stderr.read() if api.poll() is not None else "no answer")


@pytest.mark.parametrize("command", ["local", "worker"])
def test_a_worker_names_missing_secrets_at_the_start(tmp_path, variables, command):
    done = subprocess.run(
        [COMMAND, command], cwd=tmp_path, env={**variables, "PORT": "0"},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "server 'tickets': headers.Authorization: the variable TICKETS is not set" in done.stderr
