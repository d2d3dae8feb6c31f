"""A store with the users and options of the Compose stack that is killed under load."""

import asyncio
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.embedded_redis import find_server
from shared.store.callers import api_keys, callers
from shared.store.redis.client import async_client, close_clients
from tests.support.deployment import Deployment
from tests.support.redis_server import ServerWithUsers

# Only Redis 7 and Valkey up to 8.1 replay what scripts wrote with the rights of `default`.
SERVERS = {"bundled": find_server(), "redis": shutil.which("redis-server")}


def make_key(url, name):
    async def make():
        try:
            return (await callers.create(async_client(url), name)).key
        finally:
            await close_clients()

    return asyncio.run(make())


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", SERVERS)
def test_a_store_with_users_killed_under_load_loses_nothing_accepted(tmp_path, model, full, row, kind):
    """Catches an ACL with which the append-only file cannot be replayed."""
    program = SERVERS[kind]
    if program is None:
        pytest.skip(f"{kind}: no server on the path")
    most = 400 if full else 24
    accepted: list[str] = []

    def submit(number):
        accepted.append(deployment.submit_in_an_outage(f"load {number}")[0])

    deployment = Deployment(tmp_path, model.url, QUEUE_CONCURRENCY="2")
    deployment.redis = server = ServerWithUsers(program, tmp_path / "redis")
    deployment.environment["REDIS_URL"] = server.url_of("api")
    with deployment:
        deployment.environment["REDIS_URL"] = server.url_of("worker")
        deployment.start_worker()
        deployment.wait_for_slots(2)
        key = make_key(server.url_of("api"), "kept")
        with ThreadPoolExecutor(8) as pool:
            submitting = [pool.submit(submit, number) for number in range(most)]
            deployment.until(lambda: len(accepted), lambda count: count > most // 4)
            server.kill()
            time.sleep(2)
            server.start()
            for future in submitting:
                future.result()
        states = [deployment.finished(job_id, timeout=250)["state"] for job_id in accepted]
        assert set(states) == {"completed"}
        assert knows(server.url_of("api"), key)
    row(f"{kind} with users killed with -9 under load", f"{len(accepted)} accepted, all completed, the key is known")


def knows(url, key):
    async def find():
        try:
            return await api_keys.find(async_client(url), key)
        finally:
            await close_clients()

    return asyncio.run(find()) is not None
