"""Results on disk: written when Redis is back, by whoever is there then."""

import asyncio

import pytest
import redis

from functions.worker.spool import Spool
from shared.settings import SettingsError
from shared.store import claims, jobs, keys
from shared.store.client import async_client
from tests.support.slot import RESULT


@pytest.fixture
async def finished(connect, server):
    """A job that has run: its claim, and what is to be written."""
    client = await connect()
    await client.post("/api/query", json={"query": "x"})
    handle = async_client(server.url)
    from shared.store import scripts

    text = await scripts.run(handle, "pop", "rq:i", "rq:job:", "claude", "f", 10_000, 60, "now")
    claim = claims.Claim.parse(text)
    await claims.take(handle, claim, "slot")
    return claim, claims.finish(claim, "completed", {"result": RESULT}, keep_for=60)


async def state(server, claim):
    job = await jobs.read(async_client(server.url), claim.job_id, keys.ANONYMOUS)
    assert job is not None
    return job.record["state"]


async def on_disk(folder):
    async with asyncio.timeout(20):
        while not list(folder.glob("*.json")):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_result_waits_on_disk_until_redis_is_there(finished, server, tmp_path):
    claim, settlement = finished
    spool = Spool(tmp_path / "spool")
    server.kill()
    writing = asyncio.create_task(spool.settle(async_client(server.url), claim, settlement, asyncio.Event()))
    await on_disk(tmp_path / "spool")
    assert not writing.done()
    server.start()
    assert await writing == "settled"
    assert await state(server, claim) == "completed"
    assert not list((tmp_path / "spool").iterdir())


async def test_a_worker_that_has_to_end_leaves_it_to_the_next(finished, server, tmp_path):
    claim, settlement = finished
    spool, stop = Spool(tmp_path / "spool"), asyncio.Event()
    server.kill()
    writing = asyncio.create_task(spool.settle(async_client(server.url), claim, settlement, stop))
    await on_disk(tmp_path / "spool")
    stop.set()
    assert await writing == "spooled"
    server.start()
    with redis.Redis(port=server.port) as connection:
        Spool(tmp_path / "spool").write_all(connection)
    assert await state(server, claim) == "completed"
    assert not list((tmp_path / "spool").iterdir())


async def test_it_is_kept_for_its_owner_alone_and_junk_in_it_is_set_aside(finished, server, tmp_path):
    spool = Spool(tmp_path / "spool")
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    for name, text in {"a": "{", "b": '{"script": "eval", "args": []}', "c": "[]"}.items():
        (tmp_path / "spool" / f"{name}.json").write_text(text)
    with redis.Redis(port=server.port) as connection:
        spool.write_all(connection)
    assert sorted(path.name for path in (tmp_path / "spool").iterdir()) == [f"{name}.unreadable" for name in "abc"]


def test_a_directory_that_others_can_write_to_is_refused(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(SettingsError, match="SPOOL_DIR"):
        Spool(tmp_path / "open")
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="SPOOL_DIR"):
        Spool(tmp_path / "file")
