"""What operators see of batches, sessions, MCP servers and settings, and the recovery of webhooks."""

import json

import pytest

from functions.admin.effective import MASK
from shared.mcp.tools import Tool
from shared.store import keys
from shared.store.callers import callers
from shared.store.fleet import server_tools
from shared.store.jobs import sessions
from shared.store.redis.client import async_client
from tests.integration.test_admin import ON, VIEWER, basic, submit
from tests.support.slot import run

HOOK = "http://127.0.0.1:9/hook"


@pytest.fixture
async def admin(connect):
    client = await connect(**ON, WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8")
    client.headers.update(basic())
    return client


def fail(store, name, state, **fields):
    """Give a delivery a state that its attempts led to."""
    store.hset(keys.hook(name), mapping={"state": state, **fields})
    if state != "pending":
        store.hincrby(keys.COUNTERS, "webhooks_pending", -1)
        store.delete("cg:due:anonymous", "cg:due:anonymous:127.0.0.1:9", "cg:due:callers")


def webhooks(store):
    return {name.split(":")[-1]: store.hgetall(name) for name in store.keys("cg:hook:*")}


async def recover(admin, **body):
    answer = await admin.post("/admin/api/webhooks/recover", json={"since": "2020-01-01T00:00:00Z", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()["queued"]


@pytest.mark.parametrize("state", ["abandoned", "paused"])
async def test_failed_webhooks_are_delivered_again(admin, server, store, state):
    """Catches an event that stays lost, a delivered one that is sent twice, and a host that stays paused."""
    for query in ("lost", "delivered", "new"):
        await submit(admin, query, webhookUrl=HOOK)
        await run(server.url)
    lost, delivered, new = sorted(webhooks(store), key=lambda name: int(webhooks(store)[name]["at"]))
    fail(store, lost, state, tries=8)
    fail(store, delivered, "delivered", tries=1)
    store.sadd(keys.FAILING_HOSTS, "127.0.0.1:9")
    store.hset(keys.host("127.0.0.1:9"), mapping={"failing": 1, "failures": 8, "paused": 1})
    assert await recover(admin) == 1
    found = webhooks(store)
    assert (found[lost]["state"], found[lost]["tries"], found[lost]["again"]) == ("pending", "0", "requested")
    assert found[delivered]["state"] == "delivered"
    assert "again" not in found[new]
    assert store.hget(keys.COUNTERS, "webhooks_pending") == "2"
    assert store.exists("cg:due:callers")
    assert not store.exists(keys.FAILING_HOSTS, keys.host("127.0.0.1:9"))
    assert await recover(admin) == 0  # it is under way


async def test_a_recovery_is_bounded_by_time_and_host(admin, server, store):
    await submit(admin, "q", webhookUrl=HOOK)
    await run(server.url)
    [name] = webhooks(store)
    fail(store, name, "abandoned")
    assert await recover(admin, host="other.example:443") == 0
    assert await recover(admin, since="2100-01-01T00:00:00Z") == 0
    assert await recover(admin, host="127.0.0.1:9") == 1


async def test_a_webhook_whose_next_attempt_is_far_is_sent_now(admin, server, store):
    await submit(admin, "q", webhookUrl=HOOK)
    await run(server.url)
    [name] = webhooks(store)
    store.hset(keys.hook(name), "tries", 5)
    store.zadd("cg:due:anonymous:127.0.0.1:9", {name: 4_000_000_000_000})
    assert await recover(admin) == 1
    assert store.zscore("cg:due:anonymous:127.0.0.1:9", name) < 4_000_000_000_000
    assert store.hget(keys.COUNTERS, "webhooks_pending") == "1"


async def test_the_webhook_of_a_batch_is_recovered(admin, server, store):
    await admin.post("/api/batches", json={"queries": [{"query": "b"}], "webhookUrl": HOOK})
    await run(server.url)
    [name] = webhooks(store)
    fail(store, name, "abandoned")
    assert await recover(admin) == 1


@pytest.mark.parametrize("body", [{}, {"since": "yesterday"}, {"since": 5}, {"since": "2026-01-01T00:00:00"},
                                  {"since": "2026-01-01T00:00:00Z", "hosts": []}])  # fmt: skip
async def test_a_recovery_without_a_time_is_refused(admin, body):
    answer = await admin.post("/admin/api/webhooks/recover", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_viewer_recovers_nothing(admin):
    answer = await admin.post("/admin/api/webhooks/recover", json={"since": "2020-01-01T00:00:00Z"},
                              headers=basic(VIEWER))  # fmt: skip
    assert answer.status_code == 403


async def test_batches_of_all_callers_are_listed(admin, server, store):
    """Catches a batch that the list leaves out, and one that stays in it when it is over."""
    for number in range(3):
        await admin.post("/api/batches", json={"queries": [{"query": f"{number}"}, {"query": f"{number} b"}]})
    await run(server.url)
    first = (await admin.get("/admin/api/batches?limit=2")).json()
    assert len(first["batches"]) == 2
    second = (await admin.get(f"/admin/api/batches?limit=2&cursor={first['nextCursor']}")).json()
    [oldest] = second["batches"]
    assert second["nextCursor"] is None
    assert (oldest["state"], oldest["callerName"]) == ("running", "anonymous")
    assert oldest["counts"] == {"total": 2, "left": 1, "completed": 1, "failed": 0, "cancelled": 0}
    assert (await admin.get("/admin/api/batches?limit=0")).status_code == 422


async def test_kept_sessions_of_all_callers_are_listed(admin, server, store):
    client = async_client(server.url)
    made = await callers.create(client, "chats")
    for number in range(3):
        name = f"{made.id}:s{number}"
        store.zadd(keys.SESSIONS, {name: 4_000_000_000_000 + number, f"{made.id}:hour {number}": 4_100_000_000_000})
        store.hset(keys.SESSION_BYTES, name, 100 + number)
        store.rpush(f"{keys.transcripts(made.id)}:-:s{number}", "{}")
        store.expire(f"{keys.transcripts(made.id)}:-:s{number}", 600)
    found, end = await sessions.every(client, limit=2, before=None)
    assert [one.session_id for one in found] == ["s2", "s1"]
    assert end is not None
    page = (await admin.get(f"/admin/api/sessions?limit=2&cursor={end}")).json()
    [session] = page["sessions"]
    assert (session["sessionId"], session["callerName"], session["bytes"]) == ("s0", "chats", 100)
    assert session["unfinishedJobs"] == 0
    assert page["nextCursor"] is None
    store.flushall()
    assert (await admin.get("/admin/api/sessions")).json() == {"sessions": [], "nextCursor": None}


SERVERS = {
    "weather": {
        "command": "weather-server", "args": ["--token", "s3cret"], "env": {"TOKEN": "s3cret"},
        "routing": {"description": "Weather forecasts", "examples": ["Will it rain in Rome tomorrow?"],
                    "keywords": ["forecast"]},
    },
    "tickets": {"type": "http", "url": "https://s3cret@tickets.example", "headers": {"X-Key": "s3cret"},
                "routing": {"examples": ["Which tickets are open?"], "keywords": ["ticket"]}},
}  # fmt: skip


@pytest.fixture
async def with_servers(connect, tmp_path):
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps({"mcpServers": SERVERS}))
    client = await connect(**ON, MCP_ENABLED="true", MCP_CONFIG=str(path))
    client.headers.update(basic(VIEWER))
    return client


async def test_mcp_servers_are_listed_without_their_secrets(with_servers, server):
    from shared.configuration.settings import AdminSettings, load

    digest = load(AdminSettings).server_digests["weather"]
    await server_tools.keep(async_client(server.url), digest, (Tool("get_forecast", "Get a forecast", ("city",)),))
    answer = await with_servers.get("/admin/api/mcp")
    assert "s3cret" not in answer.text
    found = {one["name"]: one for one in answer.json()["servers"]}
    assert found["weather"]["tools"] == [{"name": "get_forecast", "description": "Get a forecast"}]
    assert found["tickets"]["tools"] is None
    assert found["weather"]["keywords"] == ["forecast"]


async def test_a_trial_shows_which_server_wins_and_why(with_servers):
    body = {"query": "Show me the forecast for Rome"}
    found = (await with_servers.post("/admin/api/mcp/route", json=body)).json()
    assert found["servers"] == ["weather"]
    best = found["scores"][0]
    assert best["server"] == "weather"
    assert any("forecast" in reason for reason in best["reasons"])
    assert found == (await with_servers.post("/api/mcp/route", json=body)).json()


async def test_a_trial_without_servers_is_refused(admin):
    assert (await admin.get("/admin/api/mcp")).json() == {"enabled": False, "servers": []}
    answer = await admin.post("/admin/api/mcp/route", json={"query": "x"})
    assert (answer.status_code, answer.json()["detail"]) == (404, "MCP_ENABLED is false")


@pytest.mark.parametrize("body", [{}, {"query": ""}, {"query": 5}, {"query": "x", "more": 1}])
async def test_an_invalid_trial_is_refused(admin, body):
    answer = await admin.post("/admin/api/mcp/route", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_settings_are_shown_with_their_source_and_no_secret(admin, monkeypatch, tmp_path):
    """Catches a secret in any form, also a password that looks like an address."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("CACHE_TTL=7\nLOG_LEVEL=DEBUG\n")
    secrets = {
        "WEBHOOK_SECRET": "whsec_s3cret", "REDIS_PASSWORD": "https://s3cret.example", "ANTHROPIC_API_KEY": "s3cret",
        "BUDGET_WEBHOOK_URL": "https://hooks.example/s3cret?s3cret", "CREDENTIALS_PRIVATE_KEY": "s3cret",
        "ADMIN_VIEWER_PASSWORD": "redis://s3cret@x", "LOG_LEVEL": "WARNING",
    }  # fmt: skip
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REDIS_URL", "redis://user:s3cret@127.0.0.1:7000/1?password=s3cret")
    from functions.admin import effective

    found = {one["name"]: one for one in effective.settings()}
    assert "s3cret" not in json.dumps(found)
    assert found["CACHE_TTL"] == {"name": "CACHE_TTL", "value": "7", "source": ".env", "readBy": ["api"]}
    assert (found["LOG_LEVEL"]["value"], found["LOG_LEVEL"]["source"]) == ("WARNING", "environment")
    assert (found["WEBHOOK_SECRET"]["value"], found["ANTHROPIC_API_KEY"]["value"]) == (MASK, MASK)
    assert found["REDIS_URL"]["value"] == "redis://127.0.0.1:7000/1"
    assert found["BUDGET_WEBHOOK_URL"]["value"] == "https://hooks.example/…"
    assert found["MAX_QUEUE_DEPTH"]["source"] == "default"


async def test_every_viewer_reads_the_settings(admin):
    answer = await admin.get("/admin/api/settings", headers=basic(VIEWER))
    assert {"name", "value", "source", "readBy"} == set(answer.json()["settings"][0])
