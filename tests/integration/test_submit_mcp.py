"""The effect of MCP servers on a submission; nothing is run."""

import json

import pytest

from shared.api.policies import Policy
from shared.store.callers import callers
from shared.store.redis.client import async_client
from tests.support import slot

pytestmark = pytest.mark.once

ROUTING = {"description": "the phase of the moon", "examples": ["How full is the moon tonight?"], "keywords": ["moon"]}
MOON = "How full is the moon tonight?"


@pytest.fixture
def with_servers(tmp_path, connect):
    async def with_servers(variables=None, **routing):
        servers = {"moon": {"command": "moon", "routing": ROUTING | routing}, "tide": {"command": "tide"}}
        path = tmp_path / "mcp.json"
        path.write_text(json.dumps({"mcpServers": servers}))
        return await connect(MCP_ENABLED="true", MCP_CONFIG=str(path), DEDUP_ENABLED="true", **(variables or {}))

    return with_servers


async def ask(client, query=MOON, **fields):
    return (await client.post("/api/query", json={"query": query, **fields})).json()


async def test_the_record_of_a_job_has_its_servers_and_the_reasons(with_servers):
    client = await with_servers()
    job = (await client.get(f"/api/query/{(await ask(client))['jobId']}")).json()
    assert job["mcpServers"] == ["moon"]
    assert job["mcp"]["scores"][0]["reasons"][0] == 'keyword "moon"'
    plain = (await client.get(f"/api/query/{(await ask(client, 'Write a poem'))['jobId']}")).json()
    assert plain["mcpServers"] == []
    assert "mcp" not in plain
    route = (await client.post("/api/mcp/route", json={"query": MOON})).json()
    assert route["servers"] == ["moon"]
    assert [score["server"] for score in route["scores"]] == ["moon", "tide"]


async def test_routing_leaves_out_servers_outside_the_callers_policy(with_servers, server):
    """Catches a dry run that promises a server which no job of the caller gets."""
    client = await with_servers({"AUTH_ENABLED": "true"})
    policy = Policy.model_validate({"mcpServers": ["tide"]})
    key = await callers.create(async_client(server.url), "limited", policy=policy)
    client.headers["X-API-Key"] = key.key
    route = (await client.post("/api/mcp/route", json={"query": MOON})).json()
    assert route["servers"] == []
    assert (await client.get(f"/api/query/{(await ask(client))['jobId']}")).json()["mcpServers"] == []


async def test_a_request_can_name_its_servers_or_none_instead_of_routing(with_servers):
    client = await with_servers()
    for named, wanted in ((["tide"], ["tide"]), ([], []), (["tide", "moon", "tide"], ["moon", "tide"])):
        job = (await client.get(f"/api/query/{(await ask(client, mcpServers=named))['jobId']}")).json()
        assert job["mcpServers"] == wanted
    refused = await ask(client, mcpServers=["sun"])
    assert (refused["code"], refused["errors"][0]["pointer"]) == ("invalid_request", "/mcpServers")
    assert "moon, tide" in refused["detail"]


async def test_only_queries_to_unchanged_cacheable_servers_are_cached(with_servers, server):
    client = await with_servers()
    assert [(await ask(client))["status"] for _ in range(2)] == ["queued", "queued"]
    client = await with_servers(cacheable=True)
    assert [(await ask(client))["status"] for _ in range(2)] == ["queued", "duplicate"]
    for _ in range(3):
        await slot.run(server.url)
    assert (await ask(client))["status"] == "cached"
    assert (await ask(client, mcpServers=[]))["status"] == "queued"
    client = await with_servers(cacheable=True, tools=["look"])
    assert (await ask(client))["status"] == "queued"


async def test_without_mcp_there_is_no_routing_and_no_server(connect):
    client = await connect()
    assert (await client.post("/api/mcp/route", json={"query": MOON})).status_code == 404
    assert (await ask(client, mcpServers=["moon"]))["code"] == "invalid_request"
    assert (await ask(client, mcpServers=[]))["status"] == "queued"
