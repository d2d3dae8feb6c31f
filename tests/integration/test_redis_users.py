"""The users of Redis in the Compose stack and the documents: minimal permissions, and safe at a restart."""

import os
import re
import shutil

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from local.embedded_redis import find_server
from shared.store.callers import api_keys, callers
from shared.store.redis.client import async_client
from tests.support.deployment import Deployment
from tests.support.gateway import ROOT
from tests.support.redis_server import ServerWithUsers
from tests.support.scripted_model import Error

LINE = re.compile(r"^user (\w+) (.*)$", re.MULTILINE)
# Servers differ in what they replay as the user `default`; tests/deployment tests that of the Compose stack.
SERVERS = {"bundled": find_server(), "redis": shutil.which("redis-server")}


def users_of(text):
    """Return each user's rules without its password."""
    return {name: [rule for rule in rules.split() if rule[0] != ">"] for name, rules in LINE.findall(text)}


@pytest.fixture(params=SERVERS)
def with_users(request, tmp_path):
    program = SERVERS[request.param]
    if program is None:
        assert not os.environ.get("CI"), "redis-server is not on the path"
        pytest.skip("redis-server is not on the path")
    (tmp_path / "store").mkdir()
    with ServerWithUsers(program, tmp_path / "store") as server:
        yield server


def refused(server, *command, **login):
    with redis.Redis(port=server.port, protocol=2, retry=Retry(NoBackoff(), 0), **login) as client:
        try:
            client.execute_command(*command)
        except redis.RedisError as error:
            return str(error)
    return None


@pytest.mark.once
async def test_jobs_and_keys_survive_a_killed_store(with_users, connect):
    """Catches a `default` user without permissions: replaying the append-only file then drops every transaction."""
    api = with_users.url_of("api")
    client = await connect(api)
    accepted = [await submit(client, number) for number in range(5)]
    new = await callers.create(async_client(api), "first")
    with_users.kill()
    with_users.start()
    jobs = [await read(client, job_id) for job_id in accepted]
    assert [job["state"] for job in jobs] == ["waiting"] * 5
    assert sorted(job["queuePosition"] for job in jobs) == [0, 1, 2, 3, 4]
    found = await api_keys.find(async_client(api), new.key)
    assert found
    assert found.caller.name == "first"
    assert [caller.id for caller in await callers.every(async_client(api))] == [new.id]


async def submit(client, number):
    answer = await client.post("/api/query", json={"query": f"kept {number}"})
    assert answer.status_code == 202, answer.text
    return answer.json()["jobId"]


async def read(client, job_id):
    answer = await client.get(f"/api/query/{job_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_default_user_cannot_log_in(with_users):
    """Catches a login as `default`, which has every permission for the sake of the append-only file."""
    assert "Authentication required" in refused(with_users, "GET", "cg:x")
    for password in ("", "default", "nopass", "health"):
        answer = refused(with_users, "PING", username="default", password=password)
        assert answer, password
        assert "invalid username-password pair" in answer or "Authentication required" in answer
    with (
        redis.Redis.from_url(with_users.url_of("api"), protocol=2, retry=Retry(NoBackoff(), 0)) as client,
        client.client() as connection,
    ):
        assert connection.execute_command("RESET") in (b"RESET", "RESET")
        with pytest.raises(redis.exceptions.AuthenticationError):
            connection.execute_command("GET", "cg:x")


def test_the_documented_users_are_the_shipped_ones():
    documented = users_of((ROOT / "docs/operations.md").read_text(encoding="utf-8"))
    shipped = (ROOT / "local/valkey.sh").read_text(encoding="utf-8")
    common = re.search(r"^common='(.*)'$", shipped, re.MULTILINE)
    assert common
    expected = users_of(shipped.replace("$common", common[1]))
    assert documented.pop("default") == expected.pop("default") == ["off", "resetpass", "~*", "&*", "+@all"]
    del expected["health"]
    assert documented == expected


@pytest.mark.slow
@pytest.mark.long
def test_api_and_worker_work_as_their_own_users(tmp_path, model):
    deployment = Deployment(tmp_path, model.url, QUEUE_CONCURRENCY="1")
    deployment.redis = server = ServerWithUsers(find_server(), tmp_path / "redis")
    deployment.environment["REDIS_URL"] = server.url_of("api")
    with deployment:
        deployment.environment["REDIS_URL"] = server.url_of("worker")
        deployment.start_worker()
        deployment.wait_for_slots(1)
        assert deployment.ask("who am I")["state"] == "completed"
        model.script(Error(500, "api_error", after_chunks=3))
        assert deployment.ask("again")["attempts"] == 2
        assert deployment.client.get("/api/query?limit=5").status_code == 200
        with redis.Redis.from_url(server.url_of("worker")) as client:
            commands, errors = client.info("commandstats"), client.info("errorstats")
        # The library sends CLIENT SETINFO and works without it.
        unimportant = commands.pop("cmdstat_client|setinfo", {}).get("rejected_calls", 0)
        assert {name for name, count in commands.items() if count["rejected_calls"]} == set()
        assert errors.get("errorstat_NOPERM", {}).get("count", 0) == unimportant
        for name in ("api", "worker"):
            with redis.Redis.from_url(server.url_of(name)) as client:
                for command in (["FLUSHALL"], ["CONFIG", "GET", "*"], ["KEYS", "*"], ["SET", "other", "1"]):
                    with pytest.raises(redis.exceptions.NoPermissionError):
                        client.execute_command(*command)
                if name == "api":
                    with pytest.raises(redis.exceptions.NoPermissionError):
                        client.set("rq:job:x", "1")
