"""A gateway as its user starts and stops it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.support.gateway import Gateway
from tests.support.parameters import LONG, long
from tests.support.scripted_model import Hang, ScriptedModel

ROOT = Path(__file__).parents[2]
COMMAND = str(Path(sys.executable).parent / "claude-gateway")


def credentials(model, **more):
    return {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "k", "QUEUE_CONCURRENCY": "2", **more}


@pytest.mark.parametrize(
    "options", [pytest.param([], id="uvicorn"), pytest.param(["--lambda"], id="lambda", marks=LONG)]
)
def test_ctrl_c_stops_everything_and_leaves_nothing(tmp_path, options):
    never = threading.Event()
    with (
        ScriptedModel(lambda body: Hang(until=never)) as model,
        Gateway(tmp_path, *options, **credentials(model)) as gateway,
    ):
        gateway.submit("x")
        gateway.until(gateway.running, bool)
        processes = gateway.processes()
        assert gateway.stop() == 0
        _, alive = psutil.wait_procs(processes, timeout=0.1)
        assert not alive
        assert not list(gateway.runs.glob("claude-worker-*"))
        never.set()


@pytest.mark.slow
def test_a_waiting_job_runs_after_a_restart(tmp_path):
    never = threading.Event()
    with ScriptedModel(lambda body: Hang(until=never)) as model, Gateway(tmp_path, **credentials(model)) as gateway:
        job_ids = [gateway.submit(f"job {number}") for number in range(4)]
        gateway.until(gateway.running, lambda clis: len(clis) == 2)
        gateway.stop()
        never.set()
    with ScriptedModel(echo=True) as model, Gateway(tmp_path, **credentials(model)) as gateway:
        jobs = [gateway.finished(job_id) for job_id in job_ids]
        assert [job["result"]["response"] for job in jobs] == [f"job {number}" for number in range(4)]
        # The running ones were handed back, which does not count as an attempt.
        assert [job["attempts"] for job in jobs] == [1, 1, 1, 1]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A gateway without credentials."""
    tools = {"CLAUDE_TOOLS": "Bash", "MCP_ENABLED": "true", "MCP_CONFIG": str(ROOT / "local/mcp.json")}
    folder = tmp_path_factory.mktemp("demo")
    with Gateway(folder, QUEUE_CONCURRENCY="1", CLAUDE_MAX_RETRIES="1", **tools) as gateway:
        yield gateway


@pytest.mark.slow
@pytest.mark.long
def test_without_credentials_the_demo_model_answers_and_says_so(demo):
    answer = demo.ask("What is 2+2?")["result"]["response"]
    assert "4" in answer
    assert "demo" in answer.lower()
    log = "".join(demo.log)
    assert "demo model" in log
    assert "ANTHROPIC_API_KEY" in log
    health = demo.client.get("/health").json()
    assert (health["credentials"], health["relay"]) == (["demo"], True)


@pytest.mark.slow
@pytest.mark.long
def test_demo_answers_cost_nothing_and_are_not_cached_for_claude(tmp_path):
    with Gateway(tmp_path, QUEUE_CONCURRENCY="1") as gateway:
        first = gateway.ask("Who answers?")["result"]
        assert first["costUsd"] == 0
        assert first["usage"]["outputTokens"] > 0
        again = gateway.client.post("/api/query", json={"query": "Who answers?"}).json()
        assert again["status"] == "cached"
        usage = gateway.client.get("/api/usage").json()
        assert (usage["totalUsd"], usage["savedUsd"]) == (0, 0)
        assert [model["model"] for day in usage["days"] for model in day["models"]] == ["demo-model"]
    with ScriptedModel() as model, Gateway(tmp_path, **credentials(model, QUEUE_CONCURRENCY="1")) as gateway:
        assert gateway.ask("Who answers?")["result"]["response"] == "ok"


@pytest.mark.slow
@pytest.mark.long
def test_the_demo_model_follows_the_instructions_of_a_query(demo):
    assert demo.ask("demo: fail 529", timeoutMs=6000)["error"]["code"] == "overloaded"
    assert demo.ask("demo: stream 3")["result"]["response"].endswith("word1 word2 word3")
    ran = demo.ask('demo: tool Bash {"command": "echo $((6*7))"}', tools=["Bash"])
    assert "42" in ran["result"]["response"]
    query = 'demo: mcp time get_current_time {"timezone": "Asia/Tokyo"}'
    assert "Asia/Tokyo" in demo.ask(query, mcpServers=["time"])["result"]["response"]
    started = time.monotonic()
    assert demo.ask("demo: slow 1")["state"] == "completed"
    assert time.monotonic() - started >= 1


@pytest.mark.slow
def test_with_credentials_no_demo_model_runs_and_the_log_has_no_secret(tmp_path):
    variables = {"LOG_LEVEL": "DEBUG", "LOG_FORMAT": "json"}
    with ScriptedModel(echo=True) as model, Gateway(tmp_path, **credentials(model, **variables)) as gateway:
        assert not [process for process in gateway.processes() if "local.demo_model" in process.cmdline()]
        gateway.ask("my dearest secret", metadata={"m": "hidden-metadata"}, systemPrompt="hidden-prompt")
        gateway.client.post("/api/query", json={"query": "x", "priority": "hidden-priority"})
        gateway.stop()
        log = "".join(gateway.log)
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    accepted = next(line for line in lines if line["event"] == "request" and line["status"] == 202)
    ran = [line for line in lines if line["event"] in {"job_started", "job_ended"}]
    assert len(ran) == 2
    assert {(line["job_id"], line["request_id"]) for line in ran} == {(accepted["job_id"], accepted["request_id"])}
    for secret in ("dearest", "hidden-", "ANTHROPIC_API_KEY", "demo"):
        assert secret not in log


@pytest.mark.slow
@pytest.mark.long
def test_a_second_gateway_on_the_same_data_is_refused(tmp_path):
    with Gateway(tmp_path, QUEUE_CONCURRENCY="1"):
        done = subprocess.run(
            [COMMAND, "local", "--data", str(tmp_path / "data")],
            cwd=tmp_path, env={"PATH": os.environ["PATH"], "PORT": "0"},
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "Another gateway uses" in done.stderr


@pytest.mark.parametrize(
    ("command", "variables", "message"),
    [
        ("local", {"QUEUE_CONCURRENCY": "none"}, "QUEUE_CONCURRENCY: should be a whole number"),
        ("api", {"RATE_LIMIT": "often"}, "RATE_LIMIT: should be a number and a unit"),
        ("worker", {"REDIS_PORT": "0"}, "REDIS_PORT: should be a whole number from 1 to 65535"),
    ],
)
def test_an_invalid_setting_is_named_at_the_start(tmp_path, command, variables, message):
    done = subprocess.run(
        [COMMAND, command], cwd=tmp_path, env={"PATH": os.environ["PATH"], **variables},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [COMMAND, "local"], cwd=tmp_path, env={"PATH": os.environ["PATH"], "PORT": port},
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert f"PORT: {port}" in done.stderr


@pytest.mark.slow
def test_nothing_survives_a_killed_gateway(tmp_path):
    with ScriptedModel(echo=True) as model, Gateway(tmp_path, **credentials(model)) as gateway:
        processes = gateway.processes()
        gateway.process.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(processes, timeout=10)
        assert not alive


@pytest.mark.slow
@pytest.mark.parametrize("auth", ["true", long("false")])
def test_the_start_prints_its_address_and_one_line_to_stdout(tmp_path, auth):
    """Catches advice on standard output, which programs read, and a printed command that does not run."""
    with ScriptedModel() as model, Gateway(tmp_path, **credentials(model, AUTH_ENABLED=auth)) as gateway:
        lines = gateway.until(lambda: "".join(gateway.log), lambda text: "Stop: Ctrl-C" in text)
        assert f"Start page: {gateway.url}/\n" in lines
        assert f"API documentation: {gateway.url}/docs\n" in lines
        asking = next(line for line in lines.splitlines() if line.startswith("Ask: "))
        assert asking.startswith(f"Ask: {COMMAND} ask ")
        assert f" --url {gateway.url}" in asking
        assert ("--api-key KEY" in asking) == ("keys create NAME" in lines) == (auth == "true")
        process = gateway.process
        process.send_signal(signal.SIGINT)
        process.wait(20)
        assert process.stdout is not None
        assert process.stdout.read() == ""
