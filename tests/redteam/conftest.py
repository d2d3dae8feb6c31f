"""A gateway whose model is hostile."""

import base64
import json
import os
import shlex
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from local.embedded_redis import find_server
from tests.redteam.catalogue import PRELUDE
from tests.support.gateway import ROOT, Gateway
from tests.support.mcp_run import QUICK
from tests.support.redis_server import RedisServer
from tests.support.scripted_model import ScriptedModel, Text, ToolUse

# What no tool may ever see.
CANARY = "canary-5f1e0c2b"
# What a script has printed last.
THE_END = "---- the end of an attack"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="against the Compose stack too")


class Target:
    """A gateway, and the model that its runs ask."""

    def __init__(self, client: httpx.Client, model: ScriptedModel, facts: dict[str, str]) -> None:
        self.client, self.model, self._facts = client, model, facts

    def run(self, *scripts: str, **request: Any) -> dict[str, Any]:
        """Let the model run scripts as a tool; return the job, with what the tool printed as `output`."""
        seen = len(self.model.requests)
        job = self.submit(*scripts, headers={"Prefer": "wait=25"}, **request)
        while "state" not in job or job["state"] not in {"completed", "failed", "cancelled"}:
            job = self.client.get(f"/api/query/{job['jobId']}", params={"wait": 25}).json()
        output = [result for received in self.model.requests[seen:] for result in _tool_results(received.body)]
        return {**job, "output": "\n".join(output)}

    def submit(self, *scripts: str, headers: dict[str, str] | None = None, **request: Any) -> dict[str, Any]:
        """Submit a job whose model runs scripts as a tool, once; return the answer."""
        command = "; ".join(self._command(script) for script in scripts)
        attack = ToolUse("Bash", {"command": command, "timeout": 60_000})
        self.model.reply = lambda body: Text("done") if _tool_results(body) else attack
        body = {"query": "attack", "tools": ["Bash"], **request}
        answer = self.client.post("/api/query", json=body, headers=headers)
        job: dict[str, Any] = answer.json()
        assert answer.status_code in {200, 202}, job
        return job

    def _command(self, script: str) -> str:
        source = script if script.startswith("#!/bin/sh") else PRELUDE + script
        program = "sh" if script.startswith("#!/bin/sh") else "python3"
        given = " ".join(f"{name}={shlex.quote(value)}" for name, value in self._facts.items())
        # The CLI looks for dangerous words in a command; nothing here relies on that.
        written = base64.b64encode(source.encode()).decode()
        return f"echo {written} | base64 -d > /tmp/attack; env {given} {program} /tmp/attack 2>&1; echo {THE_END}"


class LocalTarget(Target):
    """A gateway whose processes, files and store a test can look at."""

    def __init__(self, gateway: Gateway, model: ScriptedModel, facts: dict[str, str], store: redis.Redis) -> None:
        super().__init__(gateway.client, model, facts)
        self.gateway, self.store = gateway, store


def _tool_results(body: dict[str, Any]) -> list[str]:
    """Return what the tool has just answered; earlier turns of a session have results too."""
    blocks = body["messages"][-1]["content"]
    return [str(one["content"]) for one in blocks if isinstance(one, dict) and one["type"] == "tool_result"]


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTarget]:
    """Start `claude-gateway local`, with secrets in every place that it keeps them in."""
    folder = tmp_path_factory.mktemp("redteam")
    (folder / "redis").mkdir()
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": _servers()}))
    (folder / ".env").write_text(f"ADMIN_PASSWORD={CANARY}-admin-password\n")
    with RedisServer(find_server(), folder / "redis") as server, ScriptedModel() as model:
        gateway = Gateway(
            folder,
            ANTHROPIC_API_KEY=f"sk-ant-{CANARY}",
            ANTHROPIC_BASE_URL=model.url,
            ADMIN_ENABLED="true",
            CLAUDE_MAX_RETRIES="1",
            CLAUDE_TOOLS="Bash",
            DEDUP_ENABLED="false",
            LOG_FORMAT="text",
            MCP_ENABLED="true",
            MAX_RUN_MEMORY=str(1 << 30),
            MAX_RUN_PROCESSES="100",
            MAX_WORKSPACE_BYTES=str(64 << 20),
            QUEUE_CONCURRENCY="2",
            REDIS_URL=server.url,
            REDTEAM=CANARY,
            RUN_ALLOWED_HOSTS="localhost",
            RUN_SANDBOX="required",
            WEBHOOK_SECRET="whsec_" + base64.b64encode(CANARY.encode() * 2).decode(),
        )
        with gateway:
            spool = gateway.runs / f"claude-gateway-spool-{os.getuid()}"
            facts = {
                "TARGET_ROOT": str(ROOT),
                "TARGET_PACKAGES": sysconfig.get_path("purelib"),
                "TARGET_FOLDER": str(folder),
                "TARGET_RUNS": str(gateway.runs),
                "TARGET_SPOOL": str(spool),
                "TARGET_HOME": str(Path.home()),
                "TARGET_PIDS": " ".join(
                    str(pid) for pid in (gateway.process.pid, *(one.pid for one in gateway.processes()))
                ),
                "TARGET_PORTS": " ".join(str(port) for port in _ports(gateway.url, model.url, server.url)),
                "TARGET_HOST": "127.0.0.1",
            }
            with redis.Redis.from_url(server.url) as store:
                yield LocalTarget(gateway, model, facts, store)


def _servers() -> dict[str, Any]:
    """Return MCP servers with secrets in all places that they can have them in; nothing listens at the last one."""
    quick = {"command": sys.executable, "args": ["-S", str(QUICK)], "env": {"TOKEN": f"{CANARY}-of-a-server"}}
    return {
        "own": quick,
        "narrow": {**quick, "routing": {"tools": ["echo"]}},
        "other": quick,
        "warm": {**quick, "shared": True},
        "far": {"url": "http://127.0.0.1:1/mcp", "headers": {"Authorization": f"Bearer {CANARY}-of-a-server"}},
    }


def _ports(*urls: str) -> list[int]:
    return [int(url.split("/")[2].rpartition(":")[2]) for url in urls]
