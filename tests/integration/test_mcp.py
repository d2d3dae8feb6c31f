"""MCP servers of a run: the real CLI, with real servers and a scripted model."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from functions.worker.cli.plan import plan_for
from functions.worker.cli.run import Run
from functions.worker.cli.warm import WarmCli
from functions.worker.jobs.outcome import judge
from functions.worker.mcp.shared import SharedServers
from shared.configuration.settings import WorkerSettings
from shared.host import processes
from tests.support.parameters import first_of
from tests.support.ports import free_port
from tests.support.processes import running
from tests.support.real_cli import isolated_environment
from tests.support.scripted_model import Text, ToolUse
from tests.support.waiting import until_async

ROOT = Path(__file__).parents[2]
TESTS = {"command": "python", "args": ["-S", str(ROOT / "tests/support/quick_mcp_server.py")]}
OVER_HTTP = ROOT / "tests/support/mcp_server.py"

# Answers `initialize`, and ends at the next request.
DIES_AT_INITIALIZE = """
import json
hello = json.loads(input())
version, info = hello["params"]["protocolVersion"], {"name": "x", "version": "1"}
result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
print(json.dumps({"jsonrpc": "2.0", "id": hello["id"], "result": result}))
input()
"""

# Takes 8 s before it reads anything, or before it answers `initialize`.
STARTS_IN_8_S = """
import json, sys, time
if sys.argv[1] == "before":
    time.sleep(8)
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    if asked["method"] == "initialize":
        if sys.argv[1] == "hello":
            time.sleep(8)
        info, version = {"name": "x", "version": "1"}, asked["params"]["protocolVersion"]
        answer = {"result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}}
    elif asked["method"] == "tools/list":
        answer = {"result": {"tools": [{"name": "hi", "inputSchema": {"type": "object"}}]}}
    else:
        answer = {"error": {"code": -32601, "message": "no such method"}}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}), flush=True)
"""


@pytest.fixture
def worker(tmp_path, monkeypatch, model):
    """Run requests as a slot does, with the servers of a configuration."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name, value in isolated_environment(tmp_path, model.url).items():
        monkeypatch.setenv(name, value)
    processes.adopt_orphans()

    async def run(servers, *replies, names=None, until=None, beside=(), slot=None):
        path = tmp_path / "mcp.json"
        path.write_text(json.dumps({"mcpServers": servers}) if isinstance(servers, dict) else servers.read_text())
        settings = WorkerSettings(mcp_enabled=True, mcp_config=path)
        request = {"query": "go", "mcpServers": names or sorted(settings.servers)}
        model.script(*replies)
        # The model answers with the last content of its request.
        model.reply = lambda body: Text(json.dumps(body["messages"][-1]["content"]))
        warm = WarmCli(settings)
        if slot is None:
            monkeypatch.setattr(warm, "excluded", lambda: asyncio.sleep(0, set(beside)))
        else:
            # The shared servers of the first run of the slot are those of all.
            warm.shared = slot.setdefault("shared", warm.shared)
        run = Run(settings, warm)
        answer = asyncio.create_task(run.answer(plan_for(request, settings)))
        over = asyncio.create_task(until or asyncio.sleep(60))
        try:
            await asyncio.wait({answer, over}, return_when=asyncio.FIRST_COMPLETED)
            return judge(answer.result(), max_output_bytes=100_000) if answer.done() else None
        finally:
            over.cancel()
            answer.cancel()
            await run.end()
            kept = {*beside, *warm.shared.pids}
            assert set(processes.descendants(os.getpid())) <= kept, "outlived the run"

    before = model.reply
    yield run
    model.reply = before


def response(outcome):
    assert outcome.state == "completed", outcome
    return outcome.body["result"]["response"]


@pytest.mark.slow
async def test_the_example_servers_work_and_their_results_reach_the_answer(worker, model):
    calls = [
        ToolUse("mcp__files__read_file", {"path": "welcome.md"}),
        ToolUse("mcp__files__read_file", {"path": "../../../pyproject.toml"}),
        ToolUse("mcp__database__query", {"sql": "SELECT name FROM products WHERE stock = 0"}),
        ToolUse("mcp__database__query", {"sql": "DELETE FROM products"}),
        ToolUse("mcp__time__get_current_time", {"timezone": "Asia/Tokyo"}),
    ]
    outcome = await worker(ROOT / "local/mcp.json", calls)
    results = response(outcome)
    assert outcome.absent == ()
    for text in ("heliotrope", "is outside the directory", "teapot", "read-only", "Asia/Tokyo"):
        assert text in results
    offered = {tool["name"].split("__")[1] for tool in model.requests[-1].body["tools"]}
    assert offered == {"files", "database", "time"}, "nothing else, and fetching only where it is allowed"


async def test_a_server_gets_only_the_environment_of_its_entry(worker, monkeypatch):
    monkeypatch.setenv("TOKEN_OF_MINE", "s3cret")
    for name in ("LOGNAME", "SHELL", "TERM", "USER"):  # as in a slot, see `scrub`
        monkeypatch.delenv(name, raising=False)
    call = ToolUse("mcp__a__environment", {})
    answer = response(await worker({"a": {**TESTS, "env": {"TOKEN": "${TOKEN_OF_MINE}", "LEVEL": "1"}}}, call))
    seen = json.loads(json.loads(answer)[0]["content"][0]["text"])
    assert (seen["TOKEN"], seen["LEVEL"]) == ("s3cret", "1")
    # Python sets the last one.
    assert set(seen) <= {"TOKEN", "LEVEL", "HOME", "LANG", "PATH", "TMPDIR", "LC_CTYPE"}


@pytest.mark.slow
async def test_only_the_tools_of_the_allow_list_may_be_used(worker):
    entry = {**TESTS, "routing": {"tools": ["token"]}}
    assert "denied" in response(await worker({"a": entry}, ToolUse("mcp__a__environment", {})))


@pytest.mark.slow
async def test_servers_that_do_not_start_are_left_out_and_named(worker):
    servers = {"gone": {"command": "/nonexistent"}, "ends": {"command": "false"}, "there": TESTS}
    outcome = await worker(servers, Text("ok"), names=["gone", "ends", "there", "elsewhere"])
    assert response(outcome) == "ok"
    assert outcome.absent == ("elsewhere", "ends", "gone")


@pytest.mark.parametrize("entry", first_of([{"command": "false"}, TESTS]), ids=["does not start", "dies"])
async def test_a_job_fails_without_a_required_server(worker, entry):
    outcome = await worker({"a": {**entry, "routing": {"required": True}}}, ToolUse("mcp__a__die", {}))
    assert (outcome.code, outcome.absent) == ("mcp_unavailable", ("a",))


async def test_a_server_that_dies_is_named_and_the_job_continues(worker):
    outcome = await worker({"a": TESTS}, ToolUse("mcp__a__die", {}))
    assert "Connection closed" in response(outcome)
    assert outcome.absent == ("a",)


@pytest.mark.slow
@pytest.mark.long
async def test_a_server_that_dies_before_listing_its_tools_is_unavailable(worker):
    outcome = await worker({"a": {"command": "python", "args": ["-c", DIES_AT_INITIALIZE]}}, Text("ok"))
    assert outcome.absent == ("a",)


@pytest.mark.parametrize("tool", first_of(["closed", "refuse"]))
async def test_a_tool_that_reports_a_closed_connection_still_has_its_server(worker, tool):
    outcome = await worker({"a": {**TESTS, "routing": {"required": True}}}, ToolUse(f"mcp__a__{tool}", {}))
    assert "Connection closed" in response(outcome)
    assert outcome.absent == ()


@pytest.mark.slow
@pytest.mark.long
async def test_a_tool_with_a_dot_and_a_slash_in_its_name_can_be_allowed(worker):
    entry = {**TESTS, "routing": {"tools": ["dotted.name/of-a-tool"]}}
    outcome = await worker({"a": entry}, ToolUse("mcp__a__dotted_name_of-a-tool", {}))
    assert "answered by its dotted name" in response(outcome)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "hello"])
async def test_a_server_has_ten_seconds_to_start(worker, when):
    outcome = await worker({"a": {"command": "python", "args": ["-S", "-c", STARTS_IN_8_S, when]}}, Text("ok"))
    assert (response(outcome), outcome.absent) == ("ok", ())


@pytest.mark.slow
@pytest.mark.long
async def test_a_result_that_the_cli_cuts_is_named(worker):
    outcome = await worker({"a": TESTS}, ToolUse("mcp__a__large", {"size": 600_000}))
    assert "Output too large" in response(outcome)
    assert outcome.seen["truncated"] == ["mcp__a__large"]
    assert "truncated" not in (await worker({"a": TESTS}, ToolUse("mcp__a__large", {"size": 400_000}))).seen


@pytest.mark.slow
@pytest.mark.long
async def test_large_ids_of_the_example_database_arrive_whole(worker):
    sql = "SELECT 9223372036854775807 AS id"
    answer = response(await worker(ROOT / "local/mcp.json", ToolUse("mcp__database__query", {"sql": sql})))
    assert "9223372036854775807" in answer


async def test_a_hanging_tool_ends_with_its_job_unseen_by_the_model(worker, model, tmp_path):
    seen = len(model.requests)
    hangs = tmp_path / "hangs"

    call, called = ToolUse("mcp__a__hang", {"sign": str(hangs)}), until_async(hangs.exists, within=60)
    assert await worker({"a": TESTS}, call, until=called) is None
    assert len(model.requests) == seen + 1


@asynccontextmanager
async def served_over_http():
    """Serve the tests' tools over HTTP; yield their entry, and the process."""
    port = free_port()
    with running(psutil.Popen([sys.executable, str(OVER_HTTP), str(port)], stderr=subprocess.DEVNULL)) as server:
        try:
            await until_async(lambda: [one for one in server.net_connections("tcp") if one.status == "LISTEN"])
            yield {"type": "http", "url": f"http://127.0.0.1:{port}/mcp"}, server.pid
        finally:
            server.kill()


async def test_a_server_over_http_gets_its_headers(worker, monkeypatch):
    monkeypatch.setenv("TOKEN_OF_MINE", "s3cret")
    async with served_over_http() as (entry, pid):
        entry["headers"] = {"X-Token": "${TOKEN_OF_MINE}"}
        outcome = await worker({"far": entry}, ToolUse("mcp__far__token", {}), beside=[pid])
        assert "s3cret" in response(outcome)


@pytest.mark.slow
@pytest.mark.long
async def test_a_server_over_http_that_dies_is_named_too(worker):
    async with served_over_http() as (entry, pid):
        outcome = await worker({"far": entry}, ToolUse("mcp__far__die", {}), beside=[pid])
    assert outcome.absent == ("far",)


@pytest.mark.slow
@pytest.mark.long
async def test_a_server_over_http_lost_between_two_calls_is_named(worker):
    async with served_over_http() as (entry, pid):
        calls = (ToolUse("mcp__far__token", {}), ToolUse("mcp__far__die", {}), ToolUse("mcp__far__token", {}))
        outcome = await worker({"far": entry}, *calls, beside=[pid])
    assert outcome.absent == ("far",)


async def test_a_shared_server_serves_one_run_after_another(worker, model):
    slot: dict[str, SharedServers] = {}
    entry = {"a": {**TESTS, "shared": True}}
    first = json.loads(result_of(await worker(entry, ToolUse("mcp__a__state", {}), slot=slot)))
    second = json.loads(result_of(await worker(entry, ToolUse("mcp__a__state", {}), slot=slot)))
    assert first["pid"] == second["pid"]
    assert second["calls"] == first["calls"] + 1
    offered = {tool["name"] for tool in model.requests[-1].body["tools"]}
    assert "mcp__a__state" in offered
    await slot["shared"].close()


@pytest.mark.slow
async def test_a_shared_server_that_dies_serves_the_next_call_of_the_same_run(worker):
    slot: dict[str, SharedServers] = {}
    entry = {"a": {**TESTS, "shared": True}}
    outcome = await worker(entry, ToolUse("mcp__a__die", {}), ToolUse("mcp__a__state", {}), slot=slot)
    assert "pid" in json.loads(result_of(outcome))
    assert outcome.absent == ("a",), "the record keeps naming it"
    required = {"a": {**TESTS, "shared": True, "routing": {"required": True}}}
    outcome = await worker(required, ToolUse("mcp__a__die", {}), slot=slot)
    assert (outcome.code, outcome.absent) == ("mcp_unavailable", ("a",))
    await slot["shared"].close()


@pytest.mark.slow
async def test_two_slots_have_servers_of_their_own(worker):
    slots: list[dict[str, SharedServers]] = [{}, {}]
    entry = {"a": {**TESTS, "shared": True}, "b": TESTS}
    seen = [
        json.loads(result_of(await worker(entry, ToolUse("mcp__a__state", {}), names=["a"], slot=slot)))
        for slot in slots
    ]
    assert seen[0]["pid"] != seen[1]["pid"]
    # Another server of the file is not offered, and not called.
    outcome = await worker(entry, ToolUse("mcp__b__state", {}), names=["a"], slot=slots[0])
    assert "No such tool available" in response(outcome)
    for slot in slots:
        await slot["shared"].close()


def result_of(outcome):
    return json.loads(response(outcome))[0]["content"][0]["text"]
