"""A primary that is demoted while connections to it stay open: clients move to the new one."""

import asyncio
import threading

import pytest
import redis
from redis.exceptions import ConnectionError as RedisConnectionError

from local.embedded_redis import find_server
from shared.store import keys
from shared.store.fleet import slots
from shared.store.jobs import claims
from shared.store.redis import failover
from shared.store.redis.client import async_client, close_clients, sync_client
from shared.store.redis.pipelining import get, send
from shared.store.redis.pubsub import subscribed
from tests.support.lossy_proxy import LossyProxy
from tests.support.redis_server import RedisServer
from tests.support.switch import Switch
from tests.support.waiting import until, until_async


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    with RedisServer(find_server(), tmp_path_factory.mktemp("second")) as server:
        yield server


@pytest.fixture
def pair(server, second, store):
    """Two servers, of which the second replicates the first, behind one address."""
    with redis.Redis(port=second.port) as other, Switch(server.port) as switch:
        store.replicaof("NO", "ONE")
        store.config_set("repl-diskless-sync-delay", 0)
        other.replicaof("127.0.0.1", str(server.port))
        until(lambda: other.info("replication")["master_link_status"] == "up")
        yield switch
        other.replicaof("NO", "ONE")
        store.replicaof("NO", "ONE")


@pytest.fixture(autouse=True)
async def _closed():
    yield
    await close_clients()


def demote(store, second, switch):
    """Make the second server the primary; the first becomes unreachable, as after a failover."""
    with redis.Redis(port=second.port) as other:
        store.wait(1, 5000)
        other.replicaof("NO", "ONE")
        store.replicaof("127.0.0.1", "1")
        switch.lead_to(second.port)


CODES = [
    "READONLY You can't write against a read only replica.",
    "LOADING Redis is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN The cluster is down",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "NOAUTH Authentication required.",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "NOREPLICAS Not enough good replicas to write.",
    "ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -READONLY You can't write.",
    "EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.",
]


@pytest.mark.parametrize("error", CODES, ids=lambda error: error.split(" ")[0])
async def test_a_failover_reply_is_retried_on_a_new_connection(server, store, error):
    with Switch(server.port) as switch:
        client, blocking = async_client(switch.url), sync_client(switch.url)
        await client.set("a", 1)
        await send(client, ("PING",))
        blocking.ping()
        switch.refuse(error)
        assert await get(client, ("SET", "a", "together"), ("GET", "a")) == [True, "together"]
        assert await client.set("a", "alone")
        async with client.pipeline(transaction=True) as pipe:
            pipe.set("a", "many")
            pipe.get("a")
            assert await pipe.execute() == [True, "many"]
        assert blocking.set("a", "blocking")
        with blocking.pipeline() as several:
            several.set("a", "b")
            assert several.execute() == [True]
        await slots.send_heartbeat(client, "host-1-1")
        blocking.close()


async def test_submissions_go_to_the_new_primary_without_a_restart(pair, second, store, connect):
    client = await connect(pair.url, AUTH_ENABLED="false")
    assert (await client.post("/api/query", json={"query": "before"})).status_code == 202
    demote(store, second, pair)
    assert (await client.post("/api/query", json={"query": "after"})).status_code == 202
    with redis.Redis(port=second.port) as other:
        assert other.zcard(keys.WAITING) == 2


async def test_health_is_down_while_the_address_leads_to_a_replica(pair, server, second, store, connect):
    client = await connect(pair.url, AUTH_ENABLED="false")
    assert (await client.get("/health")).status_code == 200
    demote(store, second, pair)
    pair.lead_to(server.port)
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()["status"], answer.json()["reason"]) == (503, "down", "redis_read_only")
    refused = await client.post("/api/query", json={"query": "q"})
    assert (refused.status_code, refused.json()["title"]) == (503, "The store takes no writes")
    pair.lead_to(second.port)
    assert (await client.get("/health")).json()["status"] == "degraded"


async def test_a_client_that_only_reads_leaves_the_old_primary(pair, second, store, connect):
    client = await connect(pair.url, AUTH_ENABLED="false")
    job = (await client.post("/api/query", json={"query": "q"})).json()["jobId"]
    demote(store, second, pair)
    with redis.Redis(port=second.port) as other:
        other.hset(f"cg:job:{job}", "state", "cancelled")
    async with asyncio.timeout(10):
        while (await client.get(f"/api/query/{job}")).json()["state"] != "cancelled":  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_subscriptions_move_to_the_new_primary(pair, second, store):
    client = async_client(pair.url)
    received = asyncio.Event()

    async def cancelled():
        while not received.is_set():
            try:
                async for kind, _ in claims.notices(client):
                    if kind == "cancelled":
                        received.set()
                        return
            except RedisConnectionError:
                await asyncio.sleep(0.1)

    following = asyncio.create_task(cancelled())
    with subscribed(client, "job") as subscription:
        await asyncio.wait_for(subscription.ready.wait(), 5)
        await send(client, ("PING",))
        demote(store, second, pair)
        subscription.changed.clear()
        with redis.Redis(port=second.port) as other:
            async with asyncio.timeout(10):
                while not (received.is_set() and subscription.changed.is_set()):
                    await send(client, ("PING",))
                    other.publish(keys.CANCELLED, "job")
                    other.publish(keys.channel("job"), "end")
                    await asyncio.sleep(0.1)
    await following


async def test_subscriptions_made_during_a_failover_move_to_the_new_primary(pair, server, second, store):
    client = async_client(pair.url)
    demote(store, second, pair)
    pair.lead_to(server.port)
    notices = claims.notices(client)
    assert await anext(notices) == ("counts", "")
    with subscribed(client, "job") as subscription, redis.Redis(port=second.port) as other:
        await asyncio.wait_for(subscription.ready.wait(), 5)
        pair.lead_to(second.port)
        with pytest.raises(RedisConnectionError):
            await asyncio.wait_for(anext(notices), 10)
        await until_async(lambda: other.pubsub_numsub(keys.channel("job"))[0][1])


async def test_a_subscription_that_nothing_reaches_ends(server, store):
    with LossyProxy(server.port) as proxy:
        notices = claims.notices(async_client(proxy.url))
        proxy.swallow(b"SUBSCRIBE")
        assert await anext(notices) == ("counts", "")
        with pytest.raises(RedisConnectionError):
            await asyncio.wait_for(anext(notices), 10)


async def test_a_blocked_pop_continues_on_the_new_primary(pair, second, store):
    blocking, found = sync_client(pair.url), []
    blocking.ping()
    thread = threading.Thread(target=lambda: found.append(blocking.blpop([keys.WAKE], 10)))
    thread.start()
    while not any(one["cmd"] == "blpop" for one in store.client_list()):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    demote(store, second, pair)
    with redis.Redis(port=second.port) as other:
        other.lpush(keys.WAKE, "1")
    thread.join(15)
    blocking.close()
    assert found == [(keys.WAKE.encode(), b"1")]


async def test_a_wrong_password_closes_no_connection_that_works(server, store):
    store.acl_setuser("moved", enabled=True, passwords=["+one"], commands=["+@all"], keys=["*"], channels=["*"])
    client = async_client(f"redis://moved:one@127.0.0.1:{server.port}/0")
    await client.set("a", 1)
    before = {one["id"] for one in store.client_list() if one["user"] == "moved"}
    store.acl_setuser("moved", enabled=True, passwords=["+two", "-one"])
    with pytest.raises(RedisConnectionError):
        await send(client, ("SET", "a", 2))  # opens its own connection, and is refused
    assert await client.set("a", 3)
    assert before <= {one["id"] for one in store.client_list() if one["user"] == "moved"}
    store.acl_deluser("moved")


async def test_connections_are_closed_again_when_the_name_changes_late(server, store):
    closed = []
    connections = failover._Connections(server.url)

    class Parser:
        pass

    first, second_parser = Parser(), Parser()
    connections.opened(first, lambda: closed.append("first"))
    connections.judge(CODES[0], redis.ReadOnlyError("x"))
    assert closed == ["first"]
    connections.opened(second_parser, lambda: closed.append("second"))
    connections.judge(CODES[0], redis.ReadOnlyError("x"))
    async with asyncio.timeout(5):
        while "second" not in closed:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_our_own_script_error_is_raised_unchanged(server, store):
    client = async_client(server.url)
    store.set(keys.SLOTS, "not a sorted set")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        await slots.send_heartbeat(client, "slot")
