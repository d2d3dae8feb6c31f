"""The tools of MCP servers: a worker reads them once, and the router of the API uses them."""

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager

import pytest

from functions.worker.mcp.reading import ToolReader
from functions.worker.pool.tasks import end
from shared.configuration.settings import WorkerSettings
from shared.host import processes
from shared.services import routing
from shared.store.fleet import server_tools
from shared.store.redis.client import async_client
from tests.support.waiting import until_async

pytestmark = pytest.mark.once

# Writes a line for each start, and lists its tools, two a page. `silent` answers nothing.
PROGRAM = """
import json, sys
starts, tools = sys.argv[1], json.loads(sys.argv[2])
open(starts, "a").write("started\\n")
for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request or tools == "silent":
        continue
    information = {"name": "s", "version": "1"}
    result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": information}
    if request["method"] == "tools/list":
        first = int(request.get("params", {}).get("cursor") or 0)
        result = {"tools": tools[first : first + 2]}
        if first + 2 < len(tools):
            result["nextCursor"] = str(first + 2)
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)
"""


def tool(name, description, **arguments):
    return {"name": name, "description": description, "inputSchema": {"type": "object", "properties": arguments}}


FORECAST = [
    tool("get_forecast", "Get the weather forecast of a city", city={}, days={}),
    tool("get_alerts", "Get active storm warnings", state={}),
    tool("get_current_weather", "Get temperature, wind and humidity", city={}),
]


@pytest.fixture
def servers(tmp_path, server):
    """Return a function that writes the file of servers and returns the worker's settings."""
    processes.adopt_orphans()

    def write(**entries):
        document = {
            name: {"command": sys.executable, "args": ["-c", PROGRAM, str(tmp_path / name), json.dumps(tools)], **more}
            for name, (tools, more) in entries.items()
        }
        (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": document}))
        return WorkerSettings(redis_url=server.url, mcp_enabled=True, mcp_config=tmp_path / "mcp.json")

    return write


@asynccontextmanager
async def reading(*settings):
    readers = [ToolReader(one) for one in settings]
    tasks = [asyncio.create_task(one.run()) for one in readers]
    try:
        yield readers
    finally:
        await end(*tasks)


async def tools_of(settings):
    return await server_tools.read(async_client(settings.redis_address), settings.server_digests)


async def test_slots_read_each_server_once_and_end_it(servers, tmp_path):
    """Catches a server that every slot starts, pages that are not read, and a process that is left."""
    before = set(processes.descendants(os.getpid()))
    settings = servers(sky=(FORECAST, {}), moon=(FORECAST[:1], {}))
    async with reading(settings, settings, settings):
        found = await until_async(lambda: _when_full(settings, 2))
        await until_async(lambda: set(processes.descendants(os.getpid())) <= before)
    assert [one.name for one in found["sky"]] == ["get_forecast", "get_alerts", "get_current_weather"]
    assert found["sky"][0].arguments == ("city", "days")
    assert (tmp_path / "sky").read_text() == (tmp_path / "moon").read_text() == "started\n"


async def test_only_tools_that_the_entry_allows_are_read(servers):
    settings = servers(sky=(FORECAST, {"routing": {"tools": ["get_alerts"]}}))
    async with reading(settings):
        found = await until_async(lambda: _when_full(settings, 1))
    assert [one.name for one in found["sky"]] == ["get_alerts"]


async def test_a_server_that_cannot_be_read_does_not_stop_the_next(servers, monkeypatch):
    missing = {"command": "/nowhere/server"}
    bad = [{"name": 7}, "no tool", tool("ok", "x" * 9000)]
    settings = servers(a=("silent", {}), b=(FORECAST, missing), c=(bad, {}))
    monkeypatch.setattr("functions.worker.mcp.reading._WITHIN", 2)
    async with reading(settings):
        found = await until_async(lambda: _when_full(settings, 1))
    assert [(one.name, len(one.description)) for one in found["c"]] == [("ok", 500)]


@pytest.mark.slow
@pytest.mark.long
async def test_a_server_without_routing_is_chosen_by_its_tools(servers, tmp_path, connect, monkeypatch):
    """Catches an entry that nobody described and that no query reaches."""
    monkeypatch.setattr(routing, "_LOOK_EVERY", 0)
    settings = servers(sky=(FORECAST, {}))
    client = await connect(MCP_ENABLED="true", MCP_CONFIG=str(tmp_path / "mcp.json"))

    async def servers_for(query):
        return (await client.post("/api/mcp/route", json={"query": query})).json()

    assert (await servers_for("do i need an umbrella in Oslo"))["servers"] == []
    async with reading(settings):
        route = await until_async(lambda: _routed(servers_for, "do i need an umbrella in Oslo"))
    assert route["servers"] == ["sky"]
    assert 'word "umbrella"' in route["scores"][0]["reasons"]
    assert (await servers_for("write a poem about a horse"))["servers"] == []
    job = (await client.post("/api/query", json={"query": "¿va a llover mañana en Sevilla?"})).json()
    assert (await client.get(f"/api/query/{job['jobId']}")).json()["mcpServers"] == ["sky"]


async def _when_full(settings, count):
    found = await tools_of(settings)
    return found if len(found) == count else None


async def _routed(servers_for, query):
    route = await servers_for(query)
    return route if route["servers"] else None
