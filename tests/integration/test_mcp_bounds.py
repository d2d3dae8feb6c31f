"""MCP servers that write, read and end as they should not: the broker's bounds, with real processes."""

import asyncio
import json
import os
import resource
from pathlib import Path

import psutil
import pytest

from functions.worker.mcp import exchange, messages
from functions.worker.mcp.broker import Broker
from shared.host import processes
from tests.support.mcp_run import McpRun, mcp_run, quick
from tests.support.waiting import until_async


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    processes.adopt_orphans()


@pytest.fixture
async def run(tmp_path):
    async with mcp_run({"a": quick()}, tmp_path / "run") as one:
        yield one


async def test_large_results_pass_whole(run):
    assert await run.call("a", "large", size=400_000, text="é") == "é" * 400_000
    listed = await run.ask("a", "tools/list")
    assert {tool["_meta"]["anthropic/maxResultSizeChars"] for tool in listed["result"]["tools"]} == {500_000}


@pytest.mark.parametrize(
    "call",
    [
        ("large", {"size": messages.LARGEST}),
        ("late id", {"size": messages.LARGEST}),
        ("values", {"size": messages.MOST_VALUES}),
    ],
    ids=["many bytes", "many bytes before the id", "many values"],
)
async def test_a_result_that_is_too_large_is_refused_and_named(run, call):
    error = await run.call("a", call[0], **call[1])
    assert "larger than 8 MiB" in error["message"]
    assert run.broker.cut == {f"mcp__a__{call[0]}"}
    assert await run.call("a", "echo", still="there") == {"still": "there"}
    assert run.broker.gone == set()


async def test_a_line_without_an_end_ends_its_server_in_bounded_memory(run):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (await run.call("a", "endless"))["message"] == "Connection closed"
    assert run.broker.gone == {"a"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024, "KiB"


@pytest.mark.parametrize(
    "line",
    ["Listening on stdio", "{", '{"jsonrpc":"2.0"}', "\ud83d", "[]", "null", '{"id":7}', "[" * 9000, "\0"],
)
async def test_lines_that_are_no_messages_are_ignored(run, line):
    assert await run.call("a", "noise", line=line) == "after the noise"


@pytest.mark.slow
@pytest.mark.long
async def test_a_million_notifications_change_nothing(run):
    line = json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}})
    assert await run.call("a", "noise", line="\n".join([line] * 1000), times=1000) == "after the noise"


async def test_the_loop_keeps_turning_during_a_flood(run):
    line = json.dumps({"jsonrpc": "2.0", "method": "notifications/message"})
    flood = asyncio.create_task(run.call("a", "noise", line="\n".join([line] * 1000), times=300))
    turns = 0
    while not flood.done():
        await asyncio.sleep(0)
        turns += 1
    assert await flood == "after the noise"
    assert turns > 100


def in_hex(text):
    return text.encode("utf-8", "surrogateescape").hex()


async def test_text_that_is_not_utf_8_arrives_with_replacements(run):
    text = '{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"a\udcffb"}]}}'
    assert await run.call("a", "raw", hex=in_hex(text)) == "a\ufffdb"


async def test_half_of_an_emoji_arrives_as_a_replacement(run):
    text = '{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"a\\ud83d"}]}}'
    assert await run.call("a", "raw", hex=in_hex(text)) == "a\ufffd"
    assert await run.call("a", "echo", half="\ud83d") == {"half": "\ufffd"}


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
async def test_numbers_that_json_does_not_have_arrive_as_null(run, number):
    # The SDK writes them as they are, and the CLI cannot read the line.
    text = '{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"ok"}],"structuredContent":{"n":%s}}}'
    answer = await run.ask("a", "tools/call", name="raw", arguments={"hex": in_hex(text % number)})
    json.dumps(answer, allow_nan=False)
    assert answer["result"]["content"][0]["text"] == "ok"
    error = '{"jsonrpc":"2.0","id":ID,"error":{"code":1,"message":"m","data":[%s]}}'
    json.dumps(await run.call("a", "raw", hex=in_hex(error % number)), allow_nan=False)


async def test_arguments_of_any_depth_are_an_answer(run):
    nested: list[object] = []
    for _ in range(300):
        nested = [nested]
    answer = await run.call("a", "echo", nested=nested)
    assert "nested" in answer or "nested too deeply" in answer["message"]
    assert await run.call("a", "echo", still="there") == {"still": "there"}


@pytest.mark.parametrize(
    "answer",
    ['{"jsonrpc":"2.0","id":ID,"result":', '{"jsonrpc":"2.0","id":ID,"result":5}', '{"result":{},,"id":ID}'],
)
async def test_an_answer_that_cannot_be_read_is_an_error_at_once(run, answer):
    assert "invalid message" in (await run.call("a", "raw", hex=in_hex(answer)))["message"]
    assert run.broker.gone == set()


async def test_a_server_that_floods_its_error_output_is_not_held_up(run):
    assert await run.call("a", "errors", times=10_000) == "after the errors"


async def test_answers_to_requests_that_nobody_sent_are_dropped(run):
    line = '{"jsonrpc":"2.0","id":%d,"result":{"content":[]}}'
    assert await run.call("a", "noise", line="\n".join(line % number for number in range(50, 99))) == "after the noise"
    assert await run.call("a", "noise", line='{"jsonrpc":"2.0","id":{"a":1},"result":{}}') == "after the noise"
    assert await run.call("a", "noise", line='{"jsonrpc":"2.0","id":[],"error":{}}') == "after the noise"


@pytest.mark.parametrize("method", ["sampling/createMessage", "roots/list", "elicitation/create", "anything"])
async def test_what_a_server_asks_of_its_client_is_refused(run, method):
    assert (await run.call("a", "ask", method=method))["error"]["code"] == -32601
    assert (await run.call("a", "ask", method="ping"))["result"] == {}


async def test_a_server_that_reads_nothing_is_refused_more(tmp_path):
    orders = tmp_path / "orders"
    orders.write_text("deaf")
    run = McpRun(Broker({"a": quick(str(orders))}, tmp_path))
    waiting = [asyncio.create_task(run.call("a", "echo", text="x" * (1 << 20))) for _ in range(exchange.MOST_CALLS)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    refused = [task.result() for task in waiting if task.done()]
    assert all("does not read" in one["message"] for one in refused)
    await run.bridges["a"].aclose()
    await asyncio.gather(*waiting, return_exceptions=True)
    pid = int(orders.read_text().splitlines()[-1])
    await until_async(lambda: not psutil.pid_exists(pid))


async def test_a_run_has_a_bounded_number_of_requests_in_flight(run):
    tasks = [asyncio.create_task(run.call("a", "hang")) for _ in range(exchange.MOST_CALLS + 10)]
    await until_async(lambda: sum(task.done() for task in tasks) == 10)
    assert all("requests of this run" in task.result()["message"] for task in tasks if task.done())
    for task in tasks:
        task.cancel()


async def test_a_request_that_is_too_large_is_refused(run):
    assert "larger than 2 MiB" in (await run.call("a", "echo", text="x" * (2 << 20)))["message"]


async def test_a_call_ends_at_the_timeout_of_its_entry(tmp_path):
    async with mcp_run({"a": quick(timeout=1000)}, tmp_path / "run") as run:
        assert "within 1000 ms" in (await run.call("a", "hang"))["message"]
        assert await run.call("a", "echo", still="there") == {"still": "there"}


async def test_a_tool_that_is_not_allowed_is_refused_by_the_broker_too(tmp_path):
    async with mcp_run({"a": quick(routing={"tools": ["echo"]})}, tmp_path / "run") as run:
        assert "does not allow" in (await run.call("a", "state"))["message"]
        assert "does not allow" in (await run.ask("a", "tools/call", name=["echo"]))["error"]["message"]
        assert await run.call("a", "echo", a=1) == {"a": 1}


@pytest.mark.parametrize("how", ["die", "die behind a child"])
async def test_a_death_answers_the_call_and_all_later_ones(run, how):
    assert (await run.call("a", how))["message"] == "Connection closed"
    assert (await run.call("a", "echo"))["message"] == "Connection closed"
    assert run.broker.gone == {"a"}


async def test_children_of_a_server_end_with_it(tmp_path):
    async with mcp_run({"a": quick()}, tmp_path / "run") as run:
        apart, beside = await run.call("a", "children")
    await until_async(lambda: not processes.collect([apart, beside]))


async def test_a_server_has_surroundings_of_its_own(tmp_path, monkeypatch):
    for name in (
        *os.environ,
        "REDIS_URL",
        "ANTHROPIC_API_KEY",
        "WEBHOOK_SECRET",
        "HTTPS_PROXY",
        "LOGNAME",
        "SHELL",
        "USER",
    ):
        if name not in {"PATH", "LANG"}:
            monkeypatch.setenv(name, "of the slot")
    inherited = os.pipe()
    for end in inherited:
        os.set_inheritable(end, True)
    async with mcp_run({"a": quick(env={"TOKEN": "s3cret"})}, tmp_path / "run") as run:
        seen = await run.call("a", "surroundings")
        state = await run.call("a", "state")
    for end in inherited:
        os.close(end)
    folder = str(tmp_path / "run" / "mcp-a")
    environment = {name: value for name, value in seen["environment"].items() if name not in {"LANG", "LC_CTYPE"}}
    assert environment == {"TOKEN": "s3cret", "HOME": folder, "TMPDIR": folder, "PATH": os.environ["PATH"]}
    assert seen["cwd"] == folder
    assert mode(folder) == 0o700
    # The last one is the directory that it lists.
    assert set(seen["descriptors"]) - {"0", "1", "2"} <= {"3"}
    assert state["session"] == state["group"] == state["pid"] != os.getsid(0)


def mode(folder):
    return Path(folder).stat().st_mode & 0o777


def oom_score(pid):
    return Path(f"/proc/{pid}/oom_score_adj").read_text().strip()


async def test_a_server_is_the_first_to_end_when_memory_runs_out(run):
    pid = (await run.call("a", "state"))["pid"]
    assert oom_score(pid) == "1000"
    assert psutil.Process(pid).ppid() == os.getpid()
