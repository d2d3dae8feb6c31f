"""MCP_LEARN: what jobs use of MCP servers is counted, weighs in the routing, and can be deleted."""

import json

import pytest

from shared.configuration.settings import SubmitSettings, load
from shared.mcp.learned import PAIRS, Learned, pairs_of
from shared.services import routing
from shared.store.fleet import learned
from shared.store.redis import client as redis_client
from tests.support.waiting import until_async

pytestmark = pytest.mark.once

SKY, TILL = "a" * 64, "b" * 64
ADMIN = ("admin", "correct-horse-battery")
NAMES = {"sky": SKY, "till": TILL}


@pytest.fixture
async def client(store, server):
    yield redis_client.async_client(server.url)
    await redis_client.close_clients()


async def counts(client, server, pair):
    found = await learned.read(client, NAMES)
    return Learned(found)._pair(server, pair) if server in found else None


async def test_jobs_are_counted_by_word(client):
    await learned.count(client, "ida", {SKY: True, TILL: False}, [7, 4095])
    await learned.count(client, "ida", {SKY: False}, [7])
    assert [await counts(client, "sky", pair) for pair in (0, 7, 4095, 8)] == [(2, 1), (2, 1), (1, 1), (0, 0)]
    assert [await counts(client, "till", pair) for pair in (0, 7)] == [(1, 0), (1, 0)]


async def test_a_query_without_words_is_counted(client):
    """Catches a string that ends before its first pair does."""
    await learned.count(client, "ida", {SKY: False}, [])
    assert await learned.totals(client, NAMES) == {"sky": (1, 0), "till": (0, 0)}


async def test_a_server_takes_a_bounded_number_of_bytes(client, store):
    for start in range(0, PAIRS, 512):
        await learned.count(client, "ida", {SKY: True}, range(start, min(start + 512, PAIRS)))
    [key] = store.keys(f"cg:learned:{SKY}:*")
    assert store.strlen(key) == 2 * PAIRS
    assert 0 < store.ttl(key) <= 2 * learned.PERIOD


async def test_a_full_pair_keeps_its_ratio_and_stays_text(client):
    """Catches a count that flows over into its neighbor, and bytes that the client cannot decode."""
    for number in range(400):
        await learned.count(client, f"caller {number % 4}", {SKY: number % 2 == 0}, [5])
    offered, used = await counts(client, "sky", 5)
    assert (offered, used) == (127, 64)
    assert await counts(client, "sky", 6) == (0, 0)


async def test_a_caller_counts_so_many_jobs_a_day(client, monkeypatch):
    """Catches one caller that decides for all others."""
    monkeypatch.setattr(learned, "MOST_A_DAY", 3)
    assert [await learned.count(client, "ida", {SKY: True}, [5]) for _ in range(5)] == [True] * 3 + [False] * 2
    assert await counts(client, "sky", 5) == (3, 3)
    assert await learned.count(client, "omar", {SKY: True}, [5])


async def test_what_was_learned_can_be_deleted(client):
    await learned.count(client, "ida", {SKY: True, TILL: True}, [5])
    await learned.forget(client, [SKY])
    assert await counts(client, "sky", 5) is None
    assert await counts(client, "till", 5) == (1, 1)
    await learned.forget(client, [])


async def test_the_router_and_operators_see_what_was_learned(connect, store, tmp_path, monkeypatch):
    """Catches counts that nothing reads, and a route that cannot delete them."""
    monkeypatch.setattr(routing, "_LOOK_EVERY", 0)
    monkeypatch.setattr(routing, "_LEARN_EVERY", 0)
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"sky": {"command": "sky"}, "till": {"command": "till"}}}))
    variables = {"MCP_ENABLED": "true", "MCP_CONFIG": str(path), "ADMIN_ENABLED": "true", "ADMIN_PASSWORD": ADMIN[1]}
    client = await connect(MCP_LEARN="true", **variables)
    settings = load(SubmitSettings)
    digests = settings.server_digests
    redis = redis_client.async_client(settings.redis_address)
    for _ in range(5):
        await learned.count(redis, "ida", {digests["sky"]: True, digests["till"]: False}, pairs_of("the picnic"))

    async def reasons():
        found = (await client.post("/api/mcp/route", json={"query": "is the picnic on"})).json()["scores"]
        return {reason for score in found if score["server"] == "sky" for reason in score["reasons"]}

    reason = 'used in 5 of 5 queries with "picnic"'
    await until_async(lambda: _contains(reasons, reason))
    shown = (await client.get("/admin/api/mcp", auth=ADMIN)).json()["servers"]
    assert [one["learned"] for one in shown] == [{"offered": 5, "used": 5}, {"offered": 5, "used": 0}]
    assert (await client.delete("/admin/api/mcp/learned", auth=ADMIN)).json() == {"deleted": ["sky", "till"]}
    await until_async(lambda: _lacks(reasons, reason))
    shown = (await client.get("/admin/api/mcp", auth=ADMIN)).json()["servers"]
    assert [one["learned"] for one in shown] == [{"offered": 0, "used": 0}] * 2
    [entry, *_] = (await client.get("/admin/api/audit", auth=ADMIN)).json()["entries"]
    assert entry["action"] == "delete_learned"


async def test_nothing_is_learned_without_the_variable(connect, store, tmp_path):
    """Catches a process that reads or imports what is switched off."""
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"sky": {"command": "sky"}}}))
    client = await connect(
        MCP_ENABLED="true", MCP_CONFIG=str(path), ADMIN_ENABLED="true", ADMIN_PASSWORD=ADMIN[1], MCP_LEARN="false"
    )
    [shown] = (await client.get("/admin/api/mcp", auth=ADMIN)).json()["servers"]
    assert shown["learned"] is None
    answer = await client.delete("/admin/api/mcp/learned", auth=ADMIN)
    assert answer.status_code == 404


async def _contains(reasons, reason):
    return reason in await reasons()


async def _lacks(reasons, reason):
    return reason not in await reasons()
