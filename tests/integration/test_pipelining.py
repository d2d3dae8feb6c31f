"""Commands of concurrent requests in one round trip, on a real Redis."""

import asyncio
import socket
import time

import pytest
import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import DataError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.store.redis.client import async_client, close_clients
from shared.store.redis.pipelining import send
from tests.support.lossy_proxy import LossyProxy
from tests.support.waiting import until_async


@pytest.fixture(autouse=True)
async def _closed():
    yield
    await close_clients()


@pytest.fixture
async def client(server, store):
    client = async_client(server.url)
    assert await send(client, ("PING",)) == [True]
    return client


async def test_concurrent_commands_share_round_trips_and_get_their_own_replies(client, round_trips):
    answers = await asyncio.gather(*(send(client, ("ECHO", number), ("ECHO", "x")) for number in range(50)))
    assert answers == [[str(number), "x"] for number in range(50)]
    assert len(round_trips) <= 5


async def test_a_command_right_after_a_batch_is_sent(client):
    async with asyncio.timeout(10):
        for number in range(50):
            assert await send(client, ("ECHO", number)) == [str(number)]


async def test_an_error_reaches_only_its_caller(client):
    [echoed], [refused] = await asyncio.gather(send(client, ("ECHO", "1")), send(client, ("INCR", "a", "b")))
    assert echoed == "1"
    assert isinstance(refused, ResponseError)


async def test_cancelling_one_caller_does_not_affect_the_others(client):
    pending = [asyncio.create_task(send(client, ("ECHO", number))) for number in range(5)]
    await asyncio.sleep(0)
    pending[0].cancel()
    pending[3].cancel()
    assert [await pending[number] for number in (1, 2, 4)] == [["1"], ["2"], ["4"]]


async def test_a_lost_reply_repeats_the_whole_batch(server, store):
    with LossyProxy(server.port) as proxy:
        client = async_client(proxy.url)
        await send(client, ("PING",))
        proxy.lose(b"lost")
        both = await asyncio.gather(send(client, ("ECHO", "lost")), send(client, ("ECHO", "other")))
        assert list(both) == [["lost"], ["other"]]
        assert proxy.lost == 1


async def test_a_missing_reply_is_retried_on_another_connection(server, store):
    with LossyProxy(server.port) as proxy:
        client = async_client(proxy.url)
        await send(client, ("PING",))
        proxy.swallow(b"lost")
        assert await send(client, ("ECHO", "lost")) == ["lost"]
        assert proxy.lost == 1


async def test_a_slow_batch_is_awaited_while_replies_arrive(client):
    assert await send(client, *[("BLPOP", "nothing", 0.6)] * 3) == [None] * 3


async def test_a_busy_process_reads_what_has_come_before_it_gives_up(client):
    """Catches a timer that is called before the replies are read that have come meanwhile."""
    answer = asyncio.create_task(send(client, ("ECHO", "late")))
    await asyncio.sleep(0.01)
    blocked = asyncio.create_task(send(client, ("ECHO", "blocked")))
    await asyncio.sleep(0)
    time.sleep(1.3)  # noqa: ASYNC251 -- the loop does nothing else meanwhile
    assert [await answer, await blocked] == [["late"], ["blocked"]]


async def test_a_value_that_redis_cannot_take_is_refused_and_sends_nothing(client):
    with pytest.raises(DataError):
        await send(client, ("SET", "a", "1"), ("SET", "b", None))
    assert await send(client, ("GET", "a"), ("ECHO", "still in order")) == [None, "still in order"]


async def test_what_is_no_reply_of_redis_is_an_error_for_all():
    async def answer(reader, writer):
        while await reader.read(1000):
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        client = async_client(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
        with pytest.raises(RedisError):
            await send(client, ("PING",))


async def test_closing_leaves_no_connection_and_no_waiting_caller(client, store):
    pending = asyncio.create_task(send(client, ("BLPOP", "nothing", 30)))
    await until_async(lambda: any(one["cmd"] == "blpop" for one in store.client_list()))
    await close_clients()
    with pytest.raises(RedisConnectionError):
        await pending
    await until_async(lambda: len(store.client_list()) == 1)  # Redis closes it a little later


async def test_a_hanging_store_is_an_error_for_all_within_three_seconds():
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections, and reads nothing
        client = async_client(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        async with asyncio.timeout(3):
            outcomes = await asyncio.gather(send(client, ("PING",)), send(client, ("PING",)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [RedisTimeoutError] * 2


async def test_a_store_outage_is_an_error_for_all_and_recovers(unused_tcp_port):
    client = async_client(f"redis://127.0.0.1:{unused_tcp_port}/0")
    for _ in range(2):
        outcomes = await asyncio.gather(send(client, ("PING",)), send(client, ("PING",)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [RedisConnectionError] * 2


async def test_commands_over_tls_and_unix_sockets_are_pipelined_too():
    for url, kind in (("rediss://x", "SSLConnection"), ("unix:///x", "UnixDomainSocketConnection")):
        made = async_client(url).connection_pool.connection_class
        assert issubclass(made, getattr(redis.asyncio, kind))
