"""The proxy of a run's tools: what it connects to, what it refuses, and what it reports."""

import asyncio
import random
import ssl
from ipaddress import ip_network

import pytest

from functions.worker.relay import dialing, egress, proxy, tunnel
from shared.egress import targets
from tests.support.egress import HOST, Proxied, client_hello, connect_to, proxied
from tests.support.waiting import until_async


def to(host=HOST, port=None):
    return connect_to(f"{host}:{egress.PORT if port is None else port}")


async def test_a_tunnel_passes_tls_both_ways_and_is_reported(monkeypatch):
    async with proxied(monkeypatch) as run:
        reader, writer = await run.open()
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await reader.read()).endswith(b"hello\n")
        writer.close()
        [ended] = await run.records(1)
    assert (ended.host, ended.port, ended.outcome, ended.reason) == (HOST, egress.PORT, "closed", "")
    assert ended.sent > 100
    assert ended.received > 100
    assert run.lookups == [HOST]


@pytest.mark.parametrize("name", ["TOOLS.example", "tools.example.", "Tools.Example."])
async def test_a_name_is_compared_in_its_canonical_form(monkeypatch, name):
    async with proxied(monkeypatch) as run:
        reader, writer = await run.open(name, server_name=HOST)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert b"hello" in await reader.read()


async def test_a_wildcard_allows_names_below_its_domain(monkeypatch):
    async with proxied(monkeypatch, hosts=("*.example",)) as run:
        assert (await run.connect(to()))[0].startswith(b"HTTP/1.1 200 ")
        assert (await run.answer(to("example")))[0] == 403


@pytest.mark.parametrize(
    "host",
    [
        "other.example", "example", "xtools.example", "tools.example.evil.test", "a.tools.example", "tools.example..",
        "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "localhost",
        "*.example", "tools.example@evil.test", "evil.test#tools.example", "evil.test/tools.example", "tools%2eexample",
        "t\u00f6ols.example".encode().decode("latin-1"), "a" * 4000,
    ],
)  # fmt: skip
async def test_a_host_that_is_not_allowed_is_refused_by_name(monkeypatch, host):
    async with proxied(monkeypatch) as run:
        status, body = await run.answer(to(host))
        assert status in {400, 403}
        assert run.target.connections == 0
        assert run.lookups == []
        assert [one.outcome for one in await run.records(1)] == ["refused"]
    assert "RUN_ALLOWED_HOSTS" in body or status == 400
    assert len(body) < 400


@pytest.mark.parametrize("port", ["80", "22", "6379", "0", "65536", "99999", "443443", "-443", "", "https", "\u0664"])
async def test_another_port_is_refused(monkeypatch, port):
    async with proxied(monkeypatch) as run:
        status, body = await run.answer(to(port=port.encode().decode("latin-1")))
        assert status in {400, 403}
        assert "443" in body
        assert run.lookups == []


@pytest.mark.parametrize(
    "head",
    [
        b"GET http://tools.example/ HTTP/1.1\r\nHost: tools.example\r\n\r\n",
        b"POST http://tools.example/secret?token=1 HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1:3128\r\n\r\n",
        b"GET /git/github.com/a/b HTTP/1.1\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\n\r\n",
    ],
)
async def test_plain_http_is_refused_in_words(monkeypatch, head):
    async with proxied(monkeypatch) as run:
        answer, reader, writer = await run.connect(head)
        body = await reader.read()
        writer.close()
        [ended] = await run.records(1)
    assert answer.startswith(b"HTTP/1.1 405 Plain HTTP is not allowed\r\n")
    assert b"allow: CONNECT" in answer
    assert b"RUN_ALLOWED_HOSTS" in body
    # A URL may hold a secret, so the report has none of it.
    assert (ended.host, ended.port, ended.outcome) == ("", 0, "refused")


@pytest.mark.parametrize(
    "head",
    [
        b"CONNECT\r\n\r\n", b"CONNECT  tools.example:443 HTTP/1.1\r\n\r\n", b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n", b"CONNECT tools.example:443\r\n\r\n",
        b"CONNECT tools.example:443 HTTP/2\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n",
        b"CONNECT tools.example:443 HTTP/1.1\nHost: x\r\n\r\n", b"CONNECT tools.example HTTP/1.1\r\n\r\n",
    ],
)  # fmt: skip
async def test_a_malformed_request_is_400_or_403(monkeypatch, head):
    async with proxied(monkeypatch) as run:
        assert (await run.answer(head))[0] in {400, 403}
        assert run.lookups == []


async def test_a_head_without_end_is_431(monkeypatch):
    async with proxied(monkeypatch) as run:
        assert (await run.answer(b"CONNECT a:443 HTTP/1.1\r\nX: " + b"x" * 200_000))[0] == 431


# Metadata, private, shared, loopback, link-local, multicast, and IPv4 in the clothes of IPv6.
NOT_PUBLIC = [
    "169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "10.0.0.1", "192.168.1.1", "172.16.0.1",
    "100.64.0.1", "127.0.0.1", "0.0.0.0", "::1", "::", "fe80::1%lo", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "2002:7f00:1::", "224.0.0.1", "ff02::1", "255.255.255.255",
]  # fmt: skip


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_a_name_with_an_address_that_is_not_public_is_refused(monkeypatch, address):
    """Catches an allowed name that its owner points at the metadata service or at this machine."""
    async with proxied(monkeypatch, networks=()) as run:
        run.names[HOST] = ["93.184.216.34", address]
        status, body = await run.answer(to())
        [ended] = await run.records(1)
    assert status == 403
    assert "RUN_ALLOWED_NETWORKS" in body
    assert address not in body
    assert (ended.host, ended.outcome) == (HOST, "refused")


async def test_a_network_allows_only_its_own_addresses(monkeypatch):
    async with proxied(monkeypatch, networks=(ip_network("127.0.0.0/30"),)) as run:
        assert (await run.connect(to()))[0].startswith(b"HTTP/1.1 200 ")
        run.names[HOST] = ["127.0.0.9"]
        assert (await run.answer(to()))[0] == 403


async def test_a_name_that_changes_is_connected_to_as_it_was_checked(monkeypatch):
    """Catches a second lookup between check and connection."""
    async with proxied(monkeypatch) as run:
        connected = []
        connect = asyncio.open_connection

        async def noting(host, port, **options):
            if port == egress.PORT:
                connected.append(host)
                run.names[HOST] = ["169.254.169.254"]
            return await connect(host, port, **options)

        monkeypatch.setattr(asyncio, "open_connection", noting)
        assert (await run.connect(to()))[0].startswith(b"HTTP/1.1 200 ")
        assert (run.lookups, connected) == ([HOST], ["127.0.0.1"])


async def test_the_next_address_is_tried_when_one_does_not_answer(monkeypatch):
    async with proxied(monkeypatch) as run:
        run.names[HOST] = ["127.0.0.2", "127.0.0.1"]
        assert (await run.connect(to()))[0].startswith(b"HTTP/1.1 200 ")


async def test_what_fails_on_the_way_is_502_without_an_address(monkeypatch):
    async with proxied(monkeypatch, hosts=(HOST, "missing.example")) as run:
        run.names[HOST] = ["127.0.0.2"]
        status, body = await run.answer(to())
        assert (status, "127.0.0.2" in body) == (502, False)
        status, body = await run.answer(to("missing.example"))
        assert (status, "does not resolve" in body) == (502, True)
        assert [one.outcome for one in await run.records(2)] == ["failed", "failed"]


async def test_a_target_that_does_not_answer_is_504(monkeypatch):
    async with proxied(monkeypatch) as run:
        monkeypatch.setattr(dialing, "_WITHIN", 0.05)

        async def never(*_args):
            await asyncio.Event().wait()

        monkeypatch.setattr(targets, "look_up", never)
        status, body = await run.answer(to())
    assert (status, "timed out" in body) == (504, True)


async def read_rest(reader):
    try:
        return await reader.read()
    except ConnectionError:
        return b""


@pytest.mark.parametrize(
    "first",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x00\x00", b"\x80" * 40, b"\0"],
)
async def test_what_is_not_tls_does_not_reach_the_target(monkeypatch, first):
    received = []

    async def serve(reader, _writer):
        received.append(await reader.read())

    async with proxied(monkeypatch, serve=serve) as run:
        _, reader, writer = await run.connect(to())
        writer.write(first)
        assert await read_rest(reader) in {b"", bytes.fromhex("15030300020270")}
        [ended] = await run.records(1)
    assert (ended.outcome, ended.sent) == ("refused", 0)
    assert received == []


async def test_another_server_name_than_that_of_connect_is_refused(monkeypatch):
    """Catches domain fronting: an allowed name in CONNECT, and another one of the same server in TLS."""
    async with proxied(monkeypatch) as run:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await run.open(server_name="other.example")
        [ended] = await run.records(1)
    assert (ended.outcome, ended.reason) == ("refused", "The TLS server name is not the host of CONNECT")


async def test_a_client_that_names_no_server_is_refused(monkeypatch):
    async with proxied(monkeypatch) as run:
        _, _, writer = await run.connect(to())
        context = run.target.client_context()
        context.check_hostname = False
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await writer.start_tls(context, server_hostname="127.0.0.1")
        assert [one.outcome for one in await run.records(1)] == ["refused"]


async def test_slow_heads_and_hellos_end(monkeypatch):
    async with proxied(monkeypatch) as run:
        monkeypatch.setattr(proxy, "_HEAD_WITHIN", 0.05)
        assert (await run.answer(b"CONNECT"))[0] == 408
        monkeypatch.setattr(proxy, "_HEAD_WITHIN", 10)
        monkeypatch.setattr(tunnel, "_HELLO_WITHIN", 0.05)
        _, reader, writer = await run.connect(to())
        writer.write(b"\x16\x03\x01")
        await read_rest(reader)
        assert [one.outcome for one in await run.records(2)] == ["refused", "refused"]


async def test_an_idle_tunnel_ends(monkeypatch):
    async def silent(reader, _writer):
        await reader.read()

    async with proxied(monkeypatch, serve=silent) as run:
        monkeypatch.setattr(tunnel, "IDLE", 0.2)
        reader, _ = await run.open()
        await read_rest(reader)
        assert [one.outcome for one in await run.records(1)] == ["idle"]


async def flood(reader, writer):
    await reader.read(1)
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def test_endless_bytes_end_at_the_limit_of_the_run(monkeypatch):
    async with proxied(monkeypatch, serve=flood, max_bytes=1 << 20) as run:
        reader, writer = await run.open()
        writer.write(b"x")
        assert 1 << 19 < len(await read_rest(reader)) < 2 << 20
        [ended] = await run.records(1)
        assert ended.outcome == "exhausted"
        assert "MAX_RUN_NETWORK_BYTES" in ended.reason
        status, body = await run.answer(to())
    assert (status, "MAX_RUN_NETWORK_BYTES = 1048576" in body) == (403, True)


async def test_a_run_that_does_not_read_slows_its_target_down(monkeypatch):
    stuck = asyncio.Event()

    async def serve(reader, writer):
        await reader.read(1)
        try:
            while True:
                writer.write(b"x" * 65_536)
                await asyncio.wait_for(writer.drain(), 1)
        except TimeoutError:
            stuck.set()

    async with proxied(monkeypatch, serve=serve) as run:
        _, writer = await run.open()
        writer.write(b"x")
        writer.transport.pause_reading()
        await asyncio.wait_for(stuck.wait(), 20)
        assert run.egress._bytes < 32 << 20


async def test_a_half_closed_connection_still_answers(monkeypatch):
    async def count(reader, writer):
        writer.write(b"%d" % len(await reader.read()))

    async with proxied(monkeypatch, serve=count, tls=False) as run:
        _, reader, writer = await run.connect(to())
        hello = client_hello(HOST)
        writer.write(hello + b"12345")
        writer.write_eof()
        assert await reader.read() == b"%d" % (len(hello) + 5)
        [ended] = await run.records(1)
    assert (ended.outcome, ended.sent) == ("closed", len(hello) + 5)


async def test_a_run_has_so_many_connections_at_once(monkeypatch):
    async with proxied(monkeypatch) as run:
        monkeypatch.setattr(proxy, "MAX_OPEN", 3)
        held = [await run.connect(to()) for _ in range(3)]
        status, body = await run.answer(to())
        assert (status, "The run has 3 connections" in body) == (503, True)
        held[0][2].close()
        await run.records(2)
        assert (await run.connect(to()))[0].startswith(b"HTTP/1.1 200 ")


async def test_connections_beyond_the_limit_of_a_run_leave_no_line(monkeypatch):
    """Catches a run that fills the log with refused connections."""
    async with proxied(monkeypatch) as run:
        monkeypatch.setattr(egress, "MAX_CONNECTIONS", 2)
        for _ in range(2):
            assert (await run.answer(to("evil.test")))[0] == 403
        for _ in range(3):
            assert (await run.answer(to()))[0] == 503
        assert len(run.ended) == 2


async def test_the_end_of_a_run_ends_its_connections(monkeypatch):
    async with proxied(monkeypatch, serve=flood) as run:
        reader, writer = await run.open()
        writer.write(b"x")
        await reader.read(1)
        _, half = await asyncio.open_connection("127.0.0.1", run.port)
        run.writers.append(half)
        half.write(b"CONNECT")
        await until_async(lambda: len(run.proxy._tasks) == 2)
        run.proxy.end()
        await run.proxy.wait()
        assert [one.outcome for one in run.ended] == ["ended", "ended"]
        await read_rest(reader)
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", run.port)


@pytest.mark.parametrize("seed", range(3))
async def test_connections_that_are_cut_anywhere_are_reported(monkeypatch, caplog, seed):
    """Catches an error that is raised by a write to a connection that has just been lost."""
    choose = random.Random(seed)  # noqa: S311 -- no secret

    async def serve(reader, writer):
        for _ in range(choose.randrange(20)):
            if not writer.transport.is_closing():
                writer.write(b"x" * choose.randrange(1, 100_000))
            await asyncio.sleep(0)
        if choose.random() < 0.5:
            writer.transport.abort()

    async def use(run):
        cut = choose.randrange(4)
        _, writer = await asyncio.open_connection("127.0.0.1", run.port)
        run.writers.append(writer)
        writer.write(to()[: choose.randrange(20)] if cut == 0 else to())
        if cut > 1:
            writer.write(client_hello(HOST)[: None if cut == 3 else choose.randrange(100)])
        for _ in range(choose.randrange(20)):
            await asyncio.sleep(0.001)
            if cut == 3 and not writer.transport.is_closing():
                writer.write(b"y" * choose.randrange(1, 100_000))
        writer.transport.abort()

    async with proxied(monkeypatch, serve=serve, tls=False) as run:
        for _ in range(5):
            await asyncio.gather(*(use(run) for _ in range(20)))
            await until_async(lambda: not run.proxy._tasks)
    assert {one.outcome for one in run.ended} <= {"closed", "failed"}
    assert [record.getMessage() for record in caplog.records] == []


class CompanyProxy:
    """A proxy of the worker's own network."""

    def __init__(self, run: Proxied, answer=b"HTTP/1.1 200 OK\r\n\r\n"):
        self.heads: list[bytes] = []
        self._run, self._answer = run, answer

    async def serve(self, reader, writer):
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self._answer)
        if b" 200 " in self._answer:
            there, back = await asyncio.open_connection("127.0.0.1", egress.PORT)
            await asyncio.gather(self.copy(reader, back), self.copy(there, writer))
        writer.close()

    async def copy(self, reader, writer):
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 407 No\r\n\r\n", b"", b"x" * 200_000])
async def test_the_proxy_of_the_worker_is_used_and_the_name_still_checked(monkeypatch, answer):
    async with proxied(monkeypatch) as run:
        company = CompanyProxy(run, answer)
        server = await asyncio.start_server(company.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("https_proxy", f"http://user:p%40ss@127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "")
        assert (await run.answer(to("evil.test")))[0] == 403
        assert company.heads == []
        if b" 200 " in answer:
            reader, writer = await run.open()
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert b"hello" in await reader.read()
            writer.close()
            assert b"Proxy-Authorization: Basic dXNlcjpwQHNz" in company.heads[0]
            assert run.lookups == []
        else:
            status, body = await run.answer(to())
            assert (status, "p@ss" in body, str(port) in body) == (502, False, False)
        server.close()
