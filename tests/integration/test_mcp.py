"""MCP servers of a run: the real CLI, with real servers and a scripted model."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from functions.worker import processes
from functions.worker.claude import Run
from functions.worker.outcome import judge
from functions.worker.warm import WarmCli
from shared.settings import WorkerSettings
from tests.support.ports import free_port
from tests.support.real_cli import isolated_environment
from tests.support.scripted_model import Text, ToolUse

ROOT = Path(__file__).parents[2]
TESTS = {"command": "python", "args": [str(ROOT / "tests/support/mcp_server.py")]}


@pytest.fixture
def worker(tmp_path, monkeypatch, model):
    """Run requests as a slot does, with the servers of a file."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name, value in isolated_environment(tmp_path, model.url).items():
        monkeypatch.setenv(name, value)
    processes.adopt_orphans()

    async def run(servers, *replies, asked=None, until=None, beside=()):
        path = tmp_path / "mcp.json"
        path.write_text(json.dumps({"mcpServers": servers}) if isinstance(servers, dict) else servers.read_text())
        settings = WorkerSettings(mcp_enabled=True, mcp_config=path)
        request = {"query": "go", "mcpServers": asked or sorted(settings.servers)}
        model.script(*replies)
        # What the model is told last, it answers.
        model.reply = lambda body: Text(json.dumps(body["messages"][-1]["content"]))
        warm = WarmCli(settings)
        monkeypatch.setattr(warm, "spared", lambda: asyncio.sleep(0, set(beside)))
        run = Run(settings, warm, lambda text: None)
        answer = asyncio.create_task(run.answer(request))
        over = asyncio.create_task(until or asyncio.sleep(60))
        try:
            await asyncio.wait({answer, over}, return_when=asyncio.FIRST_COMPLETED)
            return judge(answer.result(), max_output_bytes=100_000) if answer.done() else None
        finally:
            over.cancel()
            answer.cancel()
            await run.end()
            assert set(processes.descendants(os.getpid())) <= set(beside), "outlived the run"

    before = model.reply
    yield run
    model.reply = before


def response(outcome):
    assert outcome.state == "completed", outcome
    return outcome.body["result"]["response"]


async def test_the_examples_work_out_of_the_box_and_their_tools_results_reach_the_answer(worker, model):
    calls = [
        ToolUse("mcp__files__read_file", {"path": "welcome.md"}),
        ToolUse("mcp__files__read_file", {"path": "../../../pyproject.toml"}),
        ToolUse("mcp__database__query", {"sql": "SELECT name FROM products WHERE stock = 0"}),
        ToolUse("mcp__database__query", {"sql": "DELETE FROM products"}),
        ToolUse("mcp__time__get_current_time", {"timezone": "Asia/Tokyo"}),
    ]
    outcome = await worker(ROOT / "local/mcp.json", calls)
    told = response(outcome)
    assert outcome.absent == ()
    for text in ("heliotrope", "is outside the directory", "teapot", "readonly", "Asia/Tokyo"):
        assert text in told
    offered = {tool["name"].split("__")[1] for tool in model.requests[-1].body["tools"]}
    assert offered == {"files", "database", "time"}, "nothing else, and fetching only where it is allowed"


async def test_a_server_sees_what_its_entry_gives_and_nothing_of_the_clis(worker, monkeypatch):
    monkeypatch.setenv("TOKEN_OF_MINE", "s3cret")
    tell = ToolUse("mcp__a__environment", {})
    told = response(await worker({"a": {**TESTS, "env": {"TOKEN": "${TOKEN_OF_MINE}", "LEVEL": "1"}}}, tell))
    seen = json.loads(json.loads(told)[0]["content"])
    seen = seen.get("result", seen)
    assert (seen["TOKEN"], seen["LEVEL"]) == ("s3cret", "1")
    # Python itself sets the last one.
    assert set(seen) <= {"TOKEN", "LEVEL", "HOME", "LANG", "PATH", "TMPDIR", "LC_CTYPE"}


async def test_only_the_tools_of_the_allow_list_may_be_used(worker):
    entry = {**TESTS, "routing": {"tools": ["token"]}}
    assert "denied" in response(await worker({"a": entry}, ToolUse("mcp__a__environment", {})))


async def test_servers_that_do_not_start_are_left_out_and_named(worker):
    servers = {"gone": {"command": "/nonexistent"}, "ends": {"command": "false"}, "there": TESTS}
    outcome = await worker(servers, Text("ok"), asked=["gone", "ends", "there", "elsewhere"])
    assert response(outcome) == "ok"
    assert outcome.absent == ("elsewhere", "ends", "gone")


@pytest.mark.parametrize("entry", [{"command": "false"}, TESTS], ids=["does not start", "dies"])
async def test_a_job_fails_without_a_server_that_it_cannot_do_without(worker, entry):
    outcome = await worker({"a": {**entry, "routing": {"required": True}}}, ToolUse("mcp__a__die", {}))
    assert (outcome.code, outcome.absent) == ("mcp_unavailable", ("a",))


async def test_a_server_that_dies_is_named_and_the_job_goes_on(worker):
    outcome = await worker({"a": TESTS}, ToolUse("mcp__a__die", {}))
    assert "Connection closed" in response(outcome)
    assert outcome.absent == ("a",)


async def test_a_tool_that_hangs_ends_with_its_job_and_the_model_hears_nothing_of_it(worker, model, tmp_path):
    seen = len(model.requests)
    hangs = tmp_path / "hangs"

    async def called():
        while not hangs.exists():  # noqa: ASYNC110 -- nothing else tells of another process's file
            await asyncio.sleep(0.01)

    assert await worker({"a": TESTS}, ToolUse("mcp__a__hang", {"sign": str(hangs)}), until=called()) is None
    assert len(model.requests) == seen + 1


async def test_a_server_over_http_gets_its_headers(worker, monkeypatch):
    port = free_port()
    monkeypatch.setenv("TOKEN_OF_MINE", "s3cret")
    with psutil.Popen([sys.executable, *TESTS["args"], str(port)], stderr=subprocess.DEVNULL) as server:
        try:
            async with asyncio.timeout(20):
                while not [one for one in server.net_connections("tcp") if one.status == "LISTEN"]:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            entry = {"type": "http", "url": f"http://127.0.0.1:{port}/mcp", "headers": {"X-Token": "${TOKEN_OF_MINE}"}}
            outcome = await worker({"far": entry}, ToolUse("mcp__far__token", {}), beside=[server.pid])
            assert "s3cret" in response(outcome)
        finally:
            server.kill()
