"""A Redis that refuses commands: errors name the kind of refusal and nothing else."""

import pytest
import redis

from local.embedded_redis import find_server
from shared.store import keys
from shared.store.redis import failures
from tests.support.redis_server import RedisServer


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A Redis that a test may break."""
    monkeypatch.setattr(failures, "_logged", {})
    (tmp_path / "own").mkdir()
    with RedisServer(find_server(), tmp_path / "own") as server, redis.Redis(port=server.port) as admin:
        yield server, admin


async def refused(client, title, reason):
    for _ in range(3):
        answer = await client.post("/api/query", json={"query": "a secret question"})
        problem = answer.json()
        assert (answer.status_code, problem["code"], problem["title"]) == (503, "unavailable", title)
        assert title in problem["detail"]
        assert answer.headers["retry-after"]
        assert "cg:" not in answer.text
        assert "script" not in answer.text
    answer = await client.post("/v1/responses", json={"model": "sonnet", "input": "x", "background": True})
    assert (answer.status_code, title in answer.json()["error"]["message"]) == (503, True)
    health = await client.get("/health")
    assert (health.status_code, health.json()["status"], health.json()["reason"]) == (503, "down", reason)


def logged(caplog, code):
    found = [record.fields for record in caplog.records if record.message == "redis_failed"]
    assert [fields["code"] for fields in found] == [code]
    assert "a secret question" not in caplog.text


async def test_a_store_out_of_memory_is_reported(own, connect, caplog):
    server, admin = own
    client = await connect(server.url, AUTH_ENABLED="false")
    job = (await client.post("/api/query", json={"query": "before"})).json()["jobId"]
    admin.config_set("maxmemory", 1)
    await refused(client, "The store is out of memory", "redis_out_of_memory")
    assert (await client.get(f"/api/query/{job}")).status_code == 200  # reads still work
    logged(caplog, "OOM")
    admin.config_set("maxmemory", 0)
    assert (await client.get("/health")).json()["status"] == "degraded"


async def test_a_store_that_cannot_write_to_disk_is_reported(own, connect, caplog, tmp_path):
    server, admin = own
    client = await connect(server.url, AUTH_ENABLED="false")
    admin.config_set("save", "3600 1")
    (tmp_path / "own" / "dump.rdb").mkdir()  # no file can replace it
    admin.bgsave()
    while admin.info("persistence")["rdb_last_bgsave_status"] == "ok":
        pass
    await refused(client, "The store cannot write to disk", "redis_disk")
    logged(caplog, "MISCONF")


async def test_a_missing_permission_of_a_user_is_reported(own, connect, caplog):
    server, admin = own
    admin.acl_setuser("api", enabled=True, passwords=["+hush-hush"], commands=["+@all", "-set", "-hset"], keys=["cg:*"])
    client = await connect(f"redis://api:hush-hush@127.0.0.1:{server.port}/0", AUTH_ENABLED="false")
    await refused(client, "The store refuses this command", "redis_permission")
    logged(caplog, "NOPERM")
    assert "hush-hush" not in caplog.text


async def test_a_wrong_password_is_reported(own, connect, caplog):
    server, admin = own
    admin.config_set("requirepass", "other")
    client = await connect(f"redis://:hush-hush@127.0.0.1:{server.port}/0", AUTH_ENABLED="false")
    await refused(client, "The store refuses the gateway's login", "redis_login")
    logged(caplog, "WRONGPASS")
    assert "hush-hush" not in caplog.text
    admin.execute_command("AUTH", "other")
    admin.config_set("requirepass", "hush-hush")
    assert (await client.get("/health")).json()["status"] == "degraded"


async def test_our_own_error_is_not_reported_as_a_store_failure(own, connect, caplog):
    server, admin = own
    client = await connect(server.url, AUTH_ENABLED="false")
    admin.set(keys.WAITING, "not a sorted set")
    answer = await client.post("/api/query", json={"query": "q"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "WRONGTYPE" not in answer.text
    assert "redis_failed" not in caplog.messages
