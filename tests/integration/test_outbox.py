"""Webhooks from the outbox to a receiver: at least once, with one id, by the schedule, on a real Redis."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import asynccontextmanager

import psutil
import pytest
from standardwebhooks import Webhook

from functions.worker.webhooks import attempt
from functions.worker.webhooks.dispatcher import Dispatcher
from shared.configuration.settings import WorkerSettings, load
from shared.store import keys
from shared.store.jobs import maintenance
from shared.store.redis.client import async_client
from shared.store.webhooks import history, outbox, signing_secrets
from tests.support.dying_dispatcher import POINTS
from tests.support.gateway import ROOT
from tests.support.processes import running
from tests.support.receiver import Receiver
from tests.support.slot import ERROR, run
from tests.support.waiting import until_async

OPEN = {"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8", "WEBHOOK_RETRY_SCHEDULE": "1 1 1 1 1 1 1"}


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def deliver(server):
    """Run the dispatcher in this process within the block."""

    @asynccontextmanager
    async def deliver():
        stop = asyncio.Event()
        settings = load(WorkerSettings)
        running = asyncio.create_task(Dispatcher(async_client(server.url), settings).run(stop, 1))
        yield
        stop.set()
        await running

    return deliver


def hurry(store):
    """Make everything due now, without waiting for the seconds of the schedule."""
    for caller in store.zrange(keys.DUE, 0, -1):
        for host in store.zrange(f"cg:due:{caller}", 0, -1):
            for request in store.zrange(f"cg:due:{caller}:{host}", 0, -1):
                store.zadd(f"cg:due:{caller}:{host}", {request: 1})
            store.zadd(f"cg:due:{caller}", {host: 1})
        store.zadd(keys.DUE, {caller: 1})
    store.publish(keys.WEBHOOK_DUE, "")


async def submit(client, url, **fields):
    answer = await client.post("/api/query", json={"query": "q", "webhookUrl": url, **fields})
    assert answer.status_code in {200, 202}, answer.text
    return answer.json()


async def tries(client, job_id):
    return (await client.get(f"/api/query/{job_id}/deliveries")).json()["deliveries"]


async def test_every_webhook_is_delivered_once_with_its_own_id_and_metadata(connect, server, store, receiver, deliver):
    client = await connect(**OPEN, DEDUP_ENABLED="true")
    leader = await submit(client, f"{receiver.url}/leader", metadata={"who": "leader"})
    joined = await submit(client, f"{receiver.url}/joined", metadata={"who": "joined"})
    await client.post("/api/query", json={"query": "q"})  # joins without a webhook
    assert await run(server.url) == leader["jobId"]
    cached = await submit(client, f"{receiver.url}/cached", metadata={"who": "cached"})
    assert (joined["status"], cached["status"]) == ("duplicate", "cached")
    async with deliver():
        await until_async(lambda: _pending(store, 0))
    events = {hook.path: hook.event for hook in receiver.hooks}
    assert len(receiver.hooks) == 3
    for path, submission in {"/leader": leader, "/joined": joined, "/cached": cached}.items():
        data = events[path]["data"]
        assert events[path]["type"] == "query.completed"
        assert (data["requestId"], data["jobId"]) == (submission["requestId"], leader["jobId"])
        assert data["metadata"] == {"who": path.strip("/")}
        assert data["result"]["response"] == "4"
    assert len({hook.id for hook in receiver.hooks}) == 3
    [secret] = await signing_secrets.of_gateway(async_client(server.url))
    for hook in receiver.hooks:
        Webhook(secret).verify(hook.body, hook.headers)


async def _pending(store, count):
    return int(store.hget(keys.COUNTERS, "webhooks_pending") or 0) == count


async def test_a_failure_and_a_cancellation_are_delivered_too(connect, server, store, receiver, deliver):
    client = await connect(**OPEN)
    failed = await submit(client, receiver.url, query="fails")
    await run(server.url, ERROR)
    cancelled = await submit(client, receiver.url, query="is cancelled")
    await client.delete(f"/api/query/{cancelled['jobId']}")
    async with deliver():
        await until_async(lambda: _pending(store, 0))
    events = {hook.event["data"]["jobId"]: hook.event for hook in receiver.hooks}
    assert events[failed["jobId"]]["type"] == "query.failed"
    assert events[failed["jobId"]]["data"]["error"] == ERROR["error"]
    assert events[cancelled["jobId"]]["type"] == "query.cancelled"
    assert events[cancelled["jobId"]]["data"] == (await client.get(f"/api/query/{cancelled['jobId']}")).json()


async def test_a_failing_receiver_is_retried_by_the_schedule(connect, server, store, receiver, deliver, monkeypatch):
    monkeypatch.setattr(attempt, "ATTEMPT_TIMEOUT", 0.3)
    replies = [(500, {}), "hang", "reset", (302, {"location": "/elsewhere"}), (503, {"retry-after": "9"}), (200, {})]
    receiver.reply = lambda hook: replies[len(receiver.hooks) - 1]
    client = await connect(**OPEN | {"WEBHOOK_RETRY_SCHEDULE": "2 3 4 5 6 7 8"})
    job = (await submit(client, receiver.url))["jobId"]
    await run(server.url)
    pauses = []
    async with deliver():
        for number in range(1, 7):

            async def tried(number=number):
                return len(await tries(client, job)) == number

            await until_async(tried)
            [name] = store.smembers(keys.hooks(job))
            pauses.append(store.lrange(keys.delivery_attempts(name), -1, -1)[0].split("\n")[1:3])
            hurry(store)
        hurry(store)
    seen = await tries(client, job)
    assert [one["statusCode"] for one in seen] == [500, None, None, 302, 503, 200]
    assert [one["attempt"] for one in seen] == [1, 2, 3, 4, 5, 6]
    assert [one["error"] for one in seen] == [
        "answered 500", "no answer within 0.3 s", "the connection broke", "redirects are not followed", "answered 503",
        None,
    ]  # fmt: skip
    assert [int(due) - int(at) for at, due in pauses[:5]] == [2000, 3000, 4000, 5000, 9000]
    assert len({hook.id for hook in receiver.hooks}) == 1
    assert len({hook.body for hook in receiver.hooks}) == 1
    assert {one["nextAttemptAt"] for one in seen} == {None}
    assert (await client.get(f"/api/query/{job}")).json()["state"] == "completed"


async def test_410_and_the_end_of_the_schedule_end_a_delivery(connect, server, store, receiver, deliver):
    receiver.reply = lambda hook: (410 if hook.path == "/gone" else 500, {})
    client = await connect(**OPEN | {"WEBHOOK_RETRY_SCHEDULE": "1"})
    gone = (await submit(client, f"{receiver.url}/gone", query="gone"))["jobId"]
    await run(server.url)
    bad = (await submit(client, f"{receiver.url}/bad", query="bad"))["jobId"]
    await run(server.url)
    async with deliver():
        await until_async(lambda: _pending(store, 0))
    assert [one["statusCode"] for one in await tries(client, gone)] == [410]
    assert [one["statusCode"] for one in await tries(client, bad)] == [500, 500]
    assert store.hgetall(keys.COUNTERS)["webhooks:abandoned"] == "2"


@pytest.mark.parametrize("point", [*POINTS[:2], *(pytest.param(point, marks=pytest.mark.slow) for point in POINTS[2:])])
async def test_a_dispatcher_killed_between_two_steps_loses_no_webhook(connect, server, store, receiver, point):
    client = await connect(**OPEN)
    job = (await submit(client, receiver.url))["jobId"]
    await run(server.url)
    environment = {**os.environ, "REDIS_URL": server.url}
    start = [sys.executable, "-m", "tests.support.dying_dispatcher"]
    with running(psutil.Popen([*start, point], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)) as first:
        assert await asyncio.to_thread(first.wait, 30) == -signal.SIGKILL
    with running(psutil.Popen(start, cwd=ROOT, env=environment, stdout=subprocess.PIPE)) as second:
        await asyncio.to_thread(second.stdout.readline)
        await until_async(lambda: _pending(store, 0))
        hurry(store)
        second.terminate()
        assert await asyncio.to_thread(second.wait, 30) == 0
    assert len(receiver.hooks) == (2 if point == "between post and record" else 1)
    assert len({hook.id for hook in receiver.hooks}) == 1
    assert [one["statusCode"] for one in await tries(client, job)] == [204]


async def test_a_host_that_never_answers_delays_no_other(connect, server, store, receiver, deliver):
    client = await connect(**OPEN)
    with Receiver(lambda hook: "hang") as dead:
        for number in range(60):
            await submit(client, f"{dead.url}/{number}", query=f"dead {number}")
            await run(server.url)
        for number in range(60):
            await submit(client, f"{receiver.url}/{number}", query=f"alive {number}")
            await run(server.url)
        async with deliver():
            # It answers only when all of these have arrived, so waiting for its answer first would hang.
            await until_async(lambda: _pending(store, 60))
            dead.closing.set()
        assert Counter(hook.path for hook in receiver.hooks) == Counter(f"/{number}" for number in range(60))
        assert len(dead.hooks) <= 8


async def test_a_redelivery_has_the_same_id_and_a_new_schedule(connect, server, store, receiver, deliver):
    client = await connect(**OPEN, DEDUP_ENABLED="true")
    first = await submit(client, f"{receiver.url}/first")
    second = await submit(client, f"{receiver.url}/second")
    job = first["jobId"]
    early = await client.post(f"/api/query/{job}/redeliver")
    assert (early.status_code, early.json()["code"]) == (409, "not_finished")
    await run(server.url)
    async with deliver():
        await until_async(lambda: _pending(store, 0))
        one = await client.post(f"/api/query/{job}/redeliver", params={"requestId": second["requestId"]})
        assert (one.status_code, one.json()) == (202, {"jobId": job, "requestIds": [second["requestId"]]})
        await until_async(lambda: _pending(store, 0))
        assert [hook.path for hook in receiver.hooks[2:]] == ["/second"]
        everybody = await client.post(f"/api/query/{job}/redeliver")
        assert sorted(everybody.json()["requestIds"]) == sorted([first["requestId"], second["requestId"]])
        await until_async(lambda: _pending(store, 0))
    assert Counter(hook.path for hook in receiver.hooks) == {"/first": 2, "/second": 3}
    assert len({hook.id for hook in receiver.hooks}) == 2
    stranger = await client.post(f"/api/query/{job}/redeliver", params={"requestId": "nobody"})
    assert (stranger.status_code, stranger.json()["code"]) == (404, "not_found")


async def test_a_redelivery_requested_during_an_attempt_is_sent_again(connect, server, store, receiver, deliver):
    client = await connect(**OPEN)
    job = (await submit(client, receiver.url))["jobId"]
    await run(server.url)
    handle = async_client(server.url)
    [leased], _ = await outbox.lease(handle, 1, {}, per_host=1)
    assert (await client.post(f"/api/query/{job}/redeliver")).status_code == 202
    assert (await outbox.lease(handle, 1, {}, per_host=1))[0] == []
    seen = outbox.AttemptResult(200, None, 1)
    assert await outbox.record(handle, leased, "delivered", seen, pause=0, disable_after=60)
    assert not await outbox.record(handle, leased, "delivered", seen, pause=0, disable_after=60)
    async with deliver():
        await until_async(lambda: _pending(store, 0))
    assert [one["statusCode"] for one in await tries(client, job)] == [200, 204]


async def test_a_job_without_a_webhook_has_nothing_to_redeliver(connect, server):
    client = await connect()
    job = (await client.post("/api/query", json={"query": "q"})).json()["jobId"]
    await run(server.url)
    answer = await client.post(f"/api/query/{job}/redeliver")
    assert (answer.status_code, answer.json()["code"]) == (422, "no_webhook")
    assert await tries(client, job) == []


async def test_a_host_that_fails_for_days_is_paused_and_resumed(connect, server, store, receiver, deliver):
    receiver.reply = lambda hook: (500, {})
    client = await connect(**OPEN | {"WEBHOOK_RETRY_SCHEDULE": "1"}, WEBHOOK_DISABLE_AFTER="60")
    first = (await submit(client, receiver.url, query="first"))["jobId"]
    await run(server.url)
    handle = async_client(server.url)
    async with deliver():
        await until_async(lambda: history.failing_hosts(handle))
        store.hincrby(keys.host(f"127.0.0.1:{receiver.port}"), "failing", -60_000)  # as if it had started a minute ago
        await until_async(lambda: _pending(store, 0))
        [host] = await history.failing_hosts(handle)
        assert (host.host, host.failures) == (f"127.0.0.1:{receiver.port}", 2)
        assert host.paused
        second = (await submit(client, receiver.url, query="second"))["jobId"]
        await run(server.url)
        await until_async(lambda: _pending(store, 0))
        [spared] = await tries(client, second)
        assert (spared["statusCode"], spared["attempt"]) == (None, 1)
        assert "paused" in spared["error"]
        assert len(receiver.hooks) == 2
        # A redelivery is attempted, and a success resumes the host.
        receiver.reply = lambda hook: (200, {})
        await client.post(f"/api/query/{first}/redeliver")
        await until_async(lambda: _pending(store, 0))
        assert await history.failing_hosts(handle) == []
    store.hset(keys.host("a:1"), mapping={"failing": 1, "failures": 1, "paused": 2})
    store.sadd(keys.FAILING_HOSTS, "a:1")
    assert await history.resume(handle, "a:1")
    assert not await history.resume(handle, "a:1")
    assert await history.failing_hosts(handle) == []


async def test_an_expired_job_is_kept_hidden_for_its_webhook_and_the_cache(connect, server, store, receiver, deliver):
    client = await connect(**OPEN)
    job = (await submit(client, receiver.url))["jobId"]
    await run(server.url, keep_for=0)
    assert maintenance.forget_expired(store) == 0
    assert (await client.get(f"/api/query/{job}")).status_code == 404
    assert (await client.get("/api/query")).json()["jobs"] == []
    again = await submit(client, receiver.url)
    assert (again["status"], again["jobId"]) == ("cached", job)
    async with deliver():
        await until_async(lambda: _pending(store, 0))
    assert [hook.event["data"]["jobId"] for hook in receiver.hooks] == [job, job]
    store.zadd(keys.EXPIRES, {job: 1})
    assert maintenance.forget_expired(store) == 0
    for key in store.keys("cg:cache:*"):
        store.delete(key)
    store.zadd(keys.EXPIRES, {job: 1})
    assert maintenance.forget_expired(store) == 1
    left = [key for key in store.keys("cg:*") if not key.startswith("cg:hit:")]  # expires by itself
    assert [key for key in left if job in key or again["requestId"] in key] == []


async def test_redis_down_between_post_and_record_repeats_nothing(connect, server, store, receiver, deliver):
    def cut(hook):
        store.execute_command("CLIENT", "PAUSE", "1500", "ALL")
        return (204, {})

    receiver.reply = cut
    client = await connect(**OPEN)
    job = (await submit(client, receiver.url))["jobId"]
    await run(server.url)
    async with deliver():
        await until_async(lambda: _received(receiver, 1))
        await until_async(lambda: _pending(store, 0))
    assert len(receiver.hooks) == 1
    assert [one["statusCode"] for one in await tries(client, job)] == [204]


async def _received(receiver, count):
    return len(receiver.hooks) >= count
