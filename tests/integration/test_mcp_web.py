"""MCP servers over HTTP through the broker: their tokens, their bounds, and sharing one connection."""

import asyncio
import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from functions.worker.mcp import messages
from functions.worker.mcp.shared import SharedServers
from shared.configuration.settings import WorkerSettings
from shared.mcp.config import Server
from tests.support.mcp_run import mcp_run
from tests.support.processes import running
from tests.support.waiting import until_async

PROGRAM = Path(__file__).parents[1] / "support" / "web_mcp_server.py"


@contextmanager
def served(port=0):
    command = [sys.executable, "-S", str(PROGRAM), str(port)]
    with running(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())


def entry(port, **fields):
    headers = {"Authorization": "Bearer s3cret"}
    return {"type": "http", "url": f"http://127.0.0.1:{port}/mcp", "headers": headers, **fields}


@pytest.fixture
async def run(tmp_path):
    with served() as port:
        async with mcp_run({"far": Server.model_validate(entry(port))}, tmp_path) as one:
            yield one


async def test_calls_reach_a_server_with_the_token_of_its_entry(run):
    assert (await run.call("far", "echo", half="\ud83d"))["arguments"] == {"half": "\ufffd"}


async def test_large_results_over_http_pass_whole(run):
    assert len(await run.call("far", "large", size=400_000)) == 400_000


@pytest.mark.parametrize(
    "call",
    [("large", messages.LARGEST), ("values", messages.MOST_VALUES), ("event", messages.LARGEST)],
    ids=["many bytes", "many values", "an event of many bytes"],
)
async def test_a_result_over_http_that_is_too_large_is_refused_and_named(run, call):
    assert "larger than 8 MiB" in (await run.call("far", call[0], size=call[1]))["message"]
    assert run.broker.cut == {f"mcp__far__{call[0]}"}
    assert (await run.call("far", "echo", a=1))["arguments"] == {"a": 1}
    assert run.broker.gone == set()


async def test_a_compressed_response_is_not_expanded(run):
    assert "code" in await run.call("far", "bomb", size=64 << 20)


async def test_a_server_over_http_without_its_token_is_named(tmp_path):
    with served() as port:
        server = Server.model_validate(entry(port, headers={}))
        async with mcp_run({"far": server}, tmp_path) as run:
            assert (await run.call("far", "echo"))["code"]


@pytest.fixture
async def shared(tmp_path):
    with served() as port:
        path = tmp_path / "mcp.json"
        path.write_text(json.dumps({"mcpServers": {"far": entry(port, shared=True)}}))
        settings = WorkerSettings(mcp_enabled=True, mcp_config=path)
        servers = SharedServers(settings)
        yield port, lambda name: mcp_run(dict(settings.servers), tmp_path / name, servers)
        await servers.close()


async def test_runs_share_one_connection_over_http(shared):
    _, run = shared
    async with run("one") as one, run("two") as two:
        answers = await asyncio.gather(
            *(each.call("far", "echo", mine=number) for number, each in enumerate((one, two)))
        )
    assert [answer["arguments"]["mine"] for answer in answers] == [0, 1]
    assert len({answer["session"] for answer in answers}) == 1


async def test_a_shared_session_that_the_server_forgot_is_made_again(shared):
    _, run = shared
    async with run("one") as one:
        assert await one.call("far", "forget") == "forgotten"
        assert (await one.call("far", "echo"))["message"] == "Session terminated"
        assert (await one.call("far", "echo", a=1))["arguments"] == {"a": 1}
        assert one.broker.gone == {"far"}


async def test_a_shared_server_over_http_is_reached_again_after_its_end(shared):
    port, run = shared
    async with run("one") as one:
        assert (await one.call("far", "die"))["message"] == "Connection closed"
        with served(port):
            await until_async(lambda: is_back(one))


async def is_back(run):
    return "arguments" in await run.call("far", "echo", a=1)
