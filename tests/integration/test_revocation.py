"""Revoking a key ends waiting, running and following of its caller, and nothing of another caller."""

import asyncio
from contextlib import suppress

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from functions.worker.jobs.rescuer import Rescuer
from functions.worker.jobs.spool import Spool
from shared.api.errors import KeyRevoked
from shared.api.policies import Policy
from shared.configuration.settings import StatusSettings, WorkerSettings, load
from shared.services.following import Clock, subscribe
from shared.store import keys
from shared.store.callers import callers, policies
from shared.store.jobs import batches, claims, endings, events, operations
from shared.store.redis import scripts
from shared.store.redis.client import async_client
from tests.support.slot import RESULT, pop, run, take
from tests.support.waiting import until_async


@pytest.fixture
async def two(connect, server):
    """Two callers, as clients: the one whose key is revoked, and another."""
    client = await connect(AUTH_ENABLED="true", RESULT_TTL="600")

    class Caller:
        def __init__(self, made):
            self.id, self.headers = made.id, {"X-API-Key": made.key}

        async def post(self, path, body, **headers):
            return await client.post(path, json=body, headers={**self.headers, **headers})

        async def submit(self, query, **fields):
            return (await self.post("/api/query", {"query": query, **fields})).json()["jobId"]

        async def get(self, path):
            return await client.get(path, headers=self.headers)

    return [Caller(await callers.create(async_client(server.url), name)) for name in ("leaves", "stays")]


async def revoke_and_die(server, caller):
    """Revoke a key in a process that dies after the first of the scripts."""
    run_script = scripts.run

    async def run_first(client, name, **arguments):
        if name != "revoke":
            raise RedisConnectionError
        return await run_script(client, name, **arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scripts, "run", run_first)
        with suppress(RedisConnectionError):
            await callers.revoke(async_client(server.url), caller.id, keep_for=60)


def run_rescuer(server, tmp_path):
    with Redis(port=server.port) as connection:
        Rescuer(connection, load(WorkerSettings), Spool(tmp_path / "spool")).run_once()


async def subscribed(client, channel):
    await until_async(lambda: client.pubsub_channels(channel))


async def test_every_job_of_a_revoked_key_is_cancelled(two, server, store):
    leaves, stays = two
    active = await leaves.submit("active")
    claim = await take(server.url)
    delayed = await leaves.submit("delayed")
    again = claims.retry(await take(server.url, "another"), 60_000, "server_error", claims.Upstream())
    await claims.settle(async_client(server.url), again)
    waiting = await leaves.submit("waiting")
    parked = [await leaves.submit("parked", sessionId=waiting) for _ in range(2)]
    batch = (await leaves.post("/api/batches", {"queries": [{"query": str(n)} for n in range(250)]})).json()["batchId"]
    kept = await stays.submit("kept")
    client = async_client(server.url)
    assert await callers.revoke(client, leaves.id, keep_for=600)
    for job_id in (active, delayed, waiting, *parked):
        assert store.hget(keys.job(job_id), "state") == "cancelled"
    assert not await claims.renew(client, claim, 50)
    ended = await batches.read(client, batch, leaves.id)
    assert ended is not None
    assert (ended.ended, ended.counts["cancelled"]) == (True, 250)
    for state in ("waiting", "active", "delayed"):
        assert store.zrange(keys.every(state), 0, -1) == ([kept] if state == "waiting" else [])
    assert (store.zrange(keys.WAITING, 0, -1), store.exists(keys.PARKED, keys.ACTIVE, keys.DELAYED)) == ([kept], 0)
    assert await run(server.url) == kept


async def test_an_interrupted_revocation_is_finished_by_a_worker(two, server, store, tmp_path):
    leaves, stays = two
    queries = [{"query": str(number)} for number in range(250)]
    assert (await leaves.post("/api/batches", {"queries": queries})).status_code == 202
    kept = await stays.submit("kept")
    await revoke_and_die(server, leaves)
    # Before the revocation is finished, none of the 250 older jobs is handed to a slot.
    popped = pop(server.url)
    assert popped is not None
    assert popped.job_id == kept
    assert pop(server.url) is None
    run_rescuer(server, tmp_path)
    assert store.zrange(keys.every("waiting"), 0, -1) == [kept]
    assert store.zcard(keys.every("cancelled")) == 250
    assert store.exists(keys.REVOKING) == 0


async def test_a_job_popped_before_the_revocation_is_not_claimed(two, server, store, tmp_path):
    leaves, _ = two
    job = await leaves.submit("popped")
    claim = pop(server.url)
    assert claim is not None
    await revoke_and_die(server, leaves)
    assert await claims.take(async_client(server.url), claim, "slot") is None
    run_rescuer(server, tmp_path)
    assert store.hget(keys.job(job), "state") == "cancelled"


async def test_a_run_handed_back_after_the_revocation_is_cancelled(two, server, store, tmp_path):
    leaves, _ = two
    job = await leaves.submit("runs")
    claim = await take(server.url)
    await revoke_and_die(server, leaves)
    assert await claims.settle(async_client(server.url), claims.hand_back(claim)) == "settled"
    assert pop(server.url) is None
    run_rescuer(server, tmp_path)
    assert store.hget(keys.job(job), "state") == "cancelled"


async def test_a_process_that_cached_the_key_accepts_no_job(two, server, store):
    leaves, _ = two
    first = await leaves.post("/api/query", {"query": "before"}, **{"Idempotency-Key": "k"})
    assert first.status_code == 202
    assert await callers.revoke(async_client(server.url), leaves.id, keep_for=600)
    for path, body, headers in (
        ("/api/query", {"query": "after"}, {}),
        ("/api/query", {"query": "before"}, {"Idempotency-Key": "k"}),
        ("/api/batches", {"queries": [{"query": "after"}]}, {}),
        ("/v1/responses", {"input": "after", "background": True}, {}),
    ):
        answer = await leaves.post(path, body, **headers)
        assert answer.status_code == 401, answer.text
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert store.zcard(keys.every("waiting")) == 0
    assert store.zcard(keys.every("cancelled")) == 1


async def test_an_operator_cannot_retry_the_job_of_a_revoked_caller(two, server, store):
    leaves, _ = two
    job = await leaves.submit("cancelled")
    client = async_client(server.url)
    assert await callers.revoke(client, leaves.id, keep_for=600)
    assert await operations.retry(client, job) == "revoked"


async def test_a_revocation_may_be_sent_twice_and_is_done_once(two, server):
    leaves, _ = two
    await revoke_and_die(server, leaves)
    await revoke_and_die(server, leaves)  # as after a lost reply
    assert not await callers.revoke(async_client(server.url), leaves.id, keep_for=600)


async def test_a_request_waiting_for_a_revoked_job_ends_without_its_result(two, server):
    """The result of a job that completes after the revocation is not sent."""
    leaves, _ = two
    job = await leaves.submit("secret")
    claim = await take(server.url)
    client = async_client(server.url)

    async def follow():
        return [event async for event in subscribe(job, events.FIRST, leaves.id, settings, Clock(settings))]

    settings = load(StatusSettings)
    following = asyncio.create_task(follow())
    waiting = asyncio.create_task(endings.read_at_end(client, job, leaves.id, 25))
    await subscribed(client, keys.channel(job))
    # In one transaction, so that subscriptions see both or neither.
    finish = claims.finish(claim, "completed", {"result": RESULT}, keep_for=60)
    await revoke_and_die(server, leaves)
    await claims.settle(client, finish)
    async with asyncio.timeout(5):
        followed = await following
        with pytest.raises(KeyRevoked):
            await waiting
    assert "done" not in [one.event.kind for one in followed]


async def test_a_revocation_ends_silent_streams(two, server):
    """Nothing cancels the job here, so that only the message of the revocation can end the streams."""
    leaves, _ = two
    client, settings = async_client(server.url), load(StatusSettings)

    async def follow(caller, job):
        return [event async for event in subscribe(job, events.FIRST, caller.id, settings, Clock(settings))]

    streams = [asyncio.create_task(follow(caller, await caller.submit("silent"))) for caller in two]
    await subscribed(client, "cg:heard:*")
    await revoke_and_die(server, leaves)
    async with asyncio.timeout(5):
        await streams[0]
    assert not streams[1].done()
    streams[1].cancel()
    await asyncio.wait(streams)


async def test_an_end_that_is_set_ends_silent_streams(two, server):
    """Catches a stream that goes on for hours although the caller's keys have stopped working."""
    leaves, _ = two
    client, settings = async_client(server.url), load(StatusSettings)
    job = await leaves.submit("silent")

    async def follow():
        return [event async for event in subscribe(job, events.FIRST, leaves.id, settings, Clock(settings))]

    stream = asyncio.create_task(follow())
    waiting = asyncio.create_task(endings.read_at_end(client, job, leaves.id, 25))
    await subscribed(client, keys.channel(job))
    await policies.put(client, leaves.id, Policy.model_validate({"expiresAt": "2500-01-01T00:00:00Z"}))
    assert (await leaves.get(f"/api/query/{job}")).status_code == 200
    assert not stream.done()
    await policies.put(client, leaves.id, Policy.model_validate({"expiresAt": "2020-01-01T00:00:00Z"}))
    async with asyncio.timeout(5):
        await stream
        with pytest.raises(KeyRevoked):
            await waiting
        await until_async(lambda: refused(leaves))


async def refused(caller):
    return (await caller.get("/api/query")).status_code == 401


async def test_results_of_a_batch_stop_at_a_revocation(two, server):
    leaves, _ = two
    queries = [{"query": str(number)} for number in range(120)]
    batch = (await leaves.post("/api/batches", {"queries": queries})).json()["batchId"]
    client = async_client(server.url)
    while await run(server.url):
        pass
    results = batches.results(client, batch, leaves.id)
    read = [(await anext(results))[0]]
    await revoke_and_die(server, leaves)

    async def read_on():
        async for job_id, _, _ in results:
            read.append(job_id)

    with pytest.raises(KeyRevoked):
        await read_on()
    assert len(read) < 120
