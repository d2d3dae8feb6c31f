"""Webhook hosts that never answer, or never resolve, use the attempts of their own caller only."""

import asyncio
import socket
import threading
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from functions.worker.webhooks import dispatcher as deliver_module
from functions.worker.webhooks.dispatcher import AT_ONCE, Dispatcher
from shared.api.ids import new_id
from shared.configuration.settings import WorkerSettings, load
from shared.egress import names
from shared.store import keys
from shared.store.jobs import records, submissions
from shared.store.redis.client import async_client
from shared.store.webhooks import outbox
from tests.support.receiver import Receiver
from tests.support.waiting import until_async

SHARE = AT_ONCE // 2


@pytest.fixture
async def webhook(connect, server):
    """Add a webhook of a caller that is due now."""
    await connect(WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8")
    client = async_client(server.url)

    async def webhook(caller, host, path="/"):
        job_id = new_id()
        hook = f"http://{host}{path}"
        one = submissions.Submission(job_id, new_id(), caller, 1, 1000, "{}", webhook_url=hook, webhook_host=host)
        assert (await submissions.submit(client, one)).kind == "queued"
        assert await records.cancel(client, job_id, caller, keep_for=600) == "cancelled"

    return webhook


@asynccontextmanager
async def delivering(server, workers=1):
    """Run the dispatchers of several workers."""
    stop = asyncio.Event()
    deliverers = [Dispatcher(async_client(server.url), load(WorkerSettings)) for _ in range(workers)]
    running = [asyncio.create_task(one.run(stop, 0)) for one in deliverers]
    yield deliverers
    stop.set()
    await asyncio.gather(*running)


@pytest.fixture
async def tarpit():
    """Every loopback address on one port, which accepts connections and never answers."""
    opened, port = [], 0

    async def take(reader, writer):
        opened.append(writer)
        await reader.read()

    server = await asyncio.start_server(take, "0.0.0.0", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]

    def host(number):
        return f"127.1.{number // 250}.{number % 250 + 1}:{port}"

    yield opened, host
    for writer in opened:
        writer.close()
    server.close()


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 3])
async def test_a_thousand_tarpits_leave_room_for_other_callers(server, store, webhook, tarpit, workers):
    opened, host = tarpit
    for number in range(1000):
        await webhook("them", host(number))
    with Receiver() as receiver:
        async with delivering(server, workers):
            await until_async(lambda: len(opened) >= min(1000, SHARE * workers))
            for caller in ("me", "another"):
                await webhook(caller, f"127.0.0.1:{receiver.port}", f"/{caller}")
            await until_async(lambda: len(receiver.hooks) == 2)
            # Each got an attempt while none of the tarpits' attempts had ended.
            assert (len(opened), store.hget(keys.COUNTERS, "webhooks:retried")) == (SHARE * workers, None)


async def test_callers_with_tarpits_share_attempts_evenly(server, store, webhook):
    client = async_client(server.url)
    for caller in ("a", "b", "c"):
        for number in range(100):
            await webhook(caller, f"{caller}{number}:80")
    leased, _ = await outbox.lease(client, AT_ONCE, {}, per_host=8)
    held = Counter(store.hget(keys.hook(one.name), "caller") for one in leased)
    assert held == {"a": AT_ONCE // 4, "b": AT_ONCE // 4, "c": AT_ONCE // 4}
    busy = {caller: Counter({f"{caller}{number}:80": 1 for number in range(AT_ONCE // 4)}) for caller in held}
    await webhook("d", "d:80")
    [first], _ = await outbox.lease(client, AT_ONCE // 4, busy, per_host=8)
    assert store.hget(keys.hook(first.name), "caller") == "d"


async def test_callers_that_wait_longer_do_not_starve_another(server, store, webhook):
    """The caller without a share left has more due hosts, and older ones, than one lease reads."""
    client = async_client(server.url)
    for number in range(400):
        await webhook("them", f"dead{number}:80")
    busy = {"them": Counter({f"dead{number}:80": 1 for number in range(SHARE)})}
    await webhook("me", "alive:80")
    [first], _ = await outbox.lease(client, AT_ONCE - SHARE, busy, per_host=8)
    assert store.hget(keys.hook(first.name), "caller") == "me"


async def test_sixty_tarpits_of_a_caller_leave_room_for_its_other_hosts(server, store, webhook, tarpit):
    """Without keys there is one caller, whose hosts share its attempts."""
    opened, host = tarpit
    for number in range(480):
        await webhook(keys.ANONYMOUS, host(number % 60))
    with Receiver() as receiver:
        async with delivering(server):
            await until_async(lambda: len(opened) >= 120)
            await webhook(keys.ANONYMOUS, f"127.0.0.1:{receiver.port}")
            await until_async(lambda: receiver.hooks)
            assert store.hget(keys.COUNTERS, "webhooks:retried") is None


async def test_two_callers_at_one_host_do_not_wait_for_each_other(server, store, webhook):
    with Receiver(lambda hook: "hang" if hook.path == "/them" else (204, {})) as receiver:
        host = f"127.0.0.1:{receiver.port}"
        for _ in range(100):
            await webhook("them", host, "/them")
        async with delivering(server):
            await until_async(lambda: len(receiver.hooks) == deliver_module.PER_HOST)
            await webhook("me", host, "/me")
            await until_async(lambda: "/me" in {hook.path for hook in receiver.hooks})
            assert store.hget(keys.COUNTERS, "webhooks:retried") is None
            receiver.closing.set()


async def test_names_that_never_resolve_delay_no_other_caller(server, store, webhook, monkeypatch):
    looked_up, ends = [], threading.Event()
    real = socket.getaddrinfo

    def getaddrinfo(host, *arguments, **options):
        if not str(host).startswith("dead"):
            return real("127.0.0.1" if host == "alive" else host, *arguments, **options)
        looked_up.append(host)
        ends.wait(60)
        raise socket.gaierror("no such name")

    for number in range(400):
        await webhook("them", f"dead{number}:80")
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with Receiver() as receiver:
        async with delivering(server):
            await until_async(lambda: len(looked_up) == names.THREADS // 2)
            await webhook("me", f"alive:{receiver.port}")
            await until_async(lambda: receiver.hooks)
            assert (len(looked_up), store.hget(keys.COUNTERS, "webhooks:retried")) == (names.THREADS // 2, None)
            ends.set()
