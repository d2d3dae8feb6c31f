"""The parts of redis-py's implementation that `shared/store/redis/internals.py` uses are as it expects.

When one of these fails after an upgrade, read redis-py's changes and adapt that module: without it commands are lost
between requests, or connections stay with a server that is no longer the primary.
"""

import ast
import asyncio
import inspect
import re
import socket
import threading
import time
from importlib.metadata import version
from typing import Any

import pytest
import redis
import redis.asyncio

from local.embedded_redis import find_server
from shared.store.redis import failover, internals
from shared.store.redis.client import async_client, close_clients, sync_client
from tests.contract.test_arrows import MODULES, ROOT
from tests.support.redis_server import RedisServer

INTERNALS = ROOT / "shared/store/redis/internals.py"
# What redis-py documents, or exports from its packages.
PUBLIC = re.compile(
    r"redis(\.asyncio|\.exceptions|\.backoff|\.retry|\.asyncio\.retry)?(\.[A-Z]\w+)?|redis\.asyncio\.client\.PubSub"
    r"|redis\.client\.Pipeline"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with RedisServer(find_server(), tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def client(server):
    yield async_client(server.url)
    await close_clients()


def test_this_is_the_release_that_was_checked():
    """Fails at each minor release: run this file, read the changes, then set the number."""
    assert version("redis").rpartition(".")[0] == "8.1"


def test_only_one_module_uses_internals_of_redis_py():
    for path in MODULES:
        text = path.read_text()
        if path == INTERNALS or "redis" not in text:
            continue
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "redis":
                used = {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                used = {alias.name for alias in node.names if alias.name.partition(".")[0] == "redis"}
            else:
                continue
            assert {name for name in used if not PUBLIC.fullmatch(name)} == set(), path
        if "store" in path.parts:
            attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            assert not attributes & {"_writer", "_sock", "_parser", "connection_class"}, path


async def test_commands_are_packed_by_hiredis(client, monkeypatch):
    packed = []
    serializer = internals._PackedInC._serializer

    class Spy:
        def pack(self, *args):
            packed.append(args)
            return serializer.pack(*args)

    monkeypatch.setattr(internals._PackedInC, "_serializer", Spy())
    await client.echo("one")
    assert ("ECHO", "one") in packed


async def test_another_protocol_takes_over_an_open_connection(client):
    connection = await internals.own_connection(client.connection_pool)
    received: asyncio.Queue[bytes] = asyncio.Queue()

    class Listener(asyncio.Protocol):
        def data_received(self, data):
            received.put_nowait(data)

    transport, reader = internals.take_over(connection, Listener())
    transport.write(b"*2\r\n$4\r\nECHO\r\n$2\r\n\xc3\xa9\r\n" * 2 + b"*1\r\n$5\r\nWRONG\r\n")
    found: list[Any] = []
    async with asyncio.timeout(5):
        while len(found) < 3:
            reader.feed(await received.get())
            while len(found) < 3 and (reply := reader.gets(len(found) != 1)) is not internals.NOT_ENOUGH_DATA:
                found.append(reply)
    assert found[:2] == ["é", "é".encode()]
    assert isinstance(found[2], redis.ResponseError)
    assert reader.gets() is internals.NOT_ENOUGH_DATA
    internals.forget(connection)
    assert transport.is_closing()


async def test_a_connection_of_its_own_reads_without_a_time_limit(client):
    connection = await internals.own_connection(client.connection_pool)
    assert connection.socket_timeout is None
    assert client.connection_pool.connection_kwargs["socket_timeout"] is not None
    assert (connection.host, connection.port) == ("127.0.0.1", client.connection_pool.connection_kwargs["port"])
    assert type(connection) is client.connection_pool.connection_class
    internals.forget(connection)


async def test_no_notifications_are_requested(client, server):
    await client.ping()
    with redis.Redis(port=server.port) as store:
        assert "maint_notifications" not in str(store.info("commandstats"))


async def test_a_server_without_a_password_takes_the_one_of_the_settings(server):
    """Catches RESP2's AUTH without a user: REDIS_PASSWORD is often set where the store of a developer has none."""
    url = server.url.replace("://", "://:of-another-store@")
    assert await async_client(url).ping()
    assert sync_client(url).ping()
    await close_clients()


def test_a_parser_gets_its_connection():
    for base in (internals.AsyncParser, internals.SyncParser):
        assert list(inspect.signature(base.on_connect).parameters)[:2] == ["self", "connection"]


@pytest.mark.parametrize("make", [failover.async_parser, failover.sync_parser])
def test_errors_of_replies_go_through_the_parser(make, server):
    parser = make(server.url)
    assert isinstance(parser.parse_error("READONLY no"), failover.NotPrimaryError)


def test_an_error_reply_reaches_the_parser_of_a_blocking_client(server):
    client = sync_client(server.url)
    client.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(failover.NotPrimaryError):
            client.set("a", "b")
    finally:
        client.config_set("min-replicas-to-write", 0)


async def test_an_error_reply_reaches_the_parser_of_an_asynchronous_client(client):
    await client.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(failover.NotPrimaryError):
            await client.set("a", "b")
    finally:
        await client.config_set("min-replicas-to-write", 0)


async def test_an_asynchronous_connection_closes_from_another_thread(client):
    connection = await client.connection_pool.get_connection()
    close = internals.async_closer(connection)
    thread = threading.Thread(target=close)
    thread.start()
    thread.join()
    async with asyncio.timeout(5):
        with pytest.raises(redis.ConnectionError):
            await connection.read_response()
    await client.connection_pool.release(connection)


def test_a_blocking_connection_closes_from_another_thread(server):
    client = redis.Redis(port=server.port)
    connection: Any = client.connection_pool.get_connection()
    assert isinstance(connection._sock, socket.socket)
    close = internals.sync_closer(connection)
    connection.send_command("BLPOP", "nothing", 30)
    threading.Timer(0.1, close).start()
    started = time.monotonic()
    with pytest.raises(redis.ConnectionError):
        connection.read_response()
    assert time.monotonic() - started < 10
