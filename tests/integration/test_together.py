"""Commands of concurrent requests in one round trip, on a real Redis."""

import asyncio
import socket

import pytest
import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.store.redis.client import async_client, close_clients
from shared.store.redis.pipelining import ask
from tests.support.lossy_proxy import LossyProxy


@pytest.fixture(autouse=True)
async def _closed():
    yield
    await close_clients()


@pytest.fixture
async def client(server, store):
    client = async_client(server.url)
    assert await ask(client, ("PING",)) == [True]
    return client


async def test_what_is_asked_at_once_takes_few_round_trips_and_each_gets_its_own(client, round_trips):
    answers = await asyncio.gather(*(ask(client, ("ECHO", number), ("ECHO", "x")) for number in range(50)))
    assert answers == [[str(number), "x"] for number in range(50)]
    assert len(round_trips) <= 5  # half of what waits each time: 25, 12, 8, 5; perhaps the first alone before


async def test_a_later_one_is_sent_though_the_last_batch_has_just_come_back(client):
    async with asyncio.timeout(10):
        for number in range(50):
            assert await ask(client, ("ECHO", number)) == [str(number)]


async def test_one_that_is_refused_is_told_to_its_asker_alone(client):
    [echoed], [refused] = await asyncio.gather(ask(client, ("ECHO", "1")), ask(client, ("INCR", "a", "b")))
    assert echoed == "1"
    assert isinstance(refused, ResponseError)


async def test_one_that_is_cancelled_takes_nobody_along(client):
    asked = [asyncio.create_task(ask(client, ("ECHO", number))) for number in range(5)]
    await asyncio.sleep(0)
    asked[0].cancel()
    asked[3].cancel()
    assert [await asked[number] for number in (1, 2, 4)] == [["1"], ["2"], ["4"]]


async def test_a_lost_reply_is_asked_for_again_with_all_that_were_sent_with_it(server, store):
    with LossyProxy(server.port) as proxy:
        client = async_client(proxy.url)
        await ask(client, ("PING",))
        proxy.lose(b"lost")
        both = await asyncio.gather(ask(client, ("ECHO", "lost")), ask(client, ("ECHO", "other")))
        assert list(both) == [["lost"], ["other"]]
        assert proxy.lost == 1


async def test_a_reply_that_does_not_come_is_asked_for_again_on_another_connection(server, store):
    with LossyProxy(server.port) as proxy:
        client = async_client(proxy.url)
        await ask(client, ("PING",))
        proxy.swallow(b"lost")
        assert await ask(client, ("ECHO", "lost")) == ["lost"]
        assert proxy.lost == 1


async def test_what_takes_longer_is_waited_for_as_long_as_replies_keep_coming(client):
    assert await ask(client, *[("BLPOP", "nothing", 0.6)] * 3) == [None] * 3


async def test_a_process_that_ends_leaves_no_connection_and_nobody_waiting(client, store):
    asked = asyncio.create_task(ask(client, ("BLPOP", "nothing", 30)))
    while not any(one["cmd"] == "blpop" for one in store.client_list()):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await close_clients()
    with pytest.raises(RedisConnectionError):
        await asked
    async with asyncio.timeout(5):  # Redis hears of it a little later
        while len(store.client_list()) > 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_store_that_never_answers_is_told_to_all_within_three_seconds():
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and reads nothing
        client = async_client(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        async with asyncio.timeout(3):
            outcomes = await asyncio.gather(ask(client, ("PING",)), ask(client, ("PING",)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [RedisTimeoutError] * 2


async def test_a_store_that_is_away_is_told_to_all_and_asked_again_later(unused_tcp_port):
    client = async_client(f"redis://127.0.0.1:{unused_tcp_port}/0")
    for _ in range(2):
        outcomes = await asyncio.gather(ask(client, ("PING",)), ask(client, ("PING",)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [RedisConnectionError] * 2


async def test_tls_and_unix_sockets_pack_their_commands_too():
    for url, kind in (("rediss://x", "SSLConnection"), ("unix:///x", "UnixDomainSocketConnection")):
        made = async_client(url).connection_pool.connection_class
        assert issubclass(made, getattr(redis.asyncio, kind))
