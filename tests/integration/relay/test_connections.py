"""Connections of the relay to Claude: TLS, proxies and the paths of its sockets."""

import asyncio
import contextlib
import os
import socket
import ssl

import pytest
import trustme

from functions.worker.relay.credential import Credential
from functions.worker.relay.relay import Relay
from tests.support.raw_upstream import relayed, sse


@pytest.fixture
def certificate(tmp_path):
    """Make a certificate for localhost; give its context and the file of its authority."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(file)
    return context, str(file)


async def test_tls_is_used_with_the_operators_authority_and_path(folder, certificate):
    context, file = certificate
    async with relayed(folder, tls=context, environ={"NODE_EXTRA_CA_CERTS": file}) as relay:
        for _ in range(2):
            assert (await relay.post()).content == sse()
        assert relay.upstream.connections == 1
        assert relay.upstream.requests[0][0].startswith(b"POST /prefix/v1/messages?beta=true HTTP/1.1\r\n")


async def test_an_unknown_authority_is_refused(folder, certificate, quick):
    async with relayed(folder, tls=certificate[0], clock=0.5) as relay:
        assert (await relay.post()).status_code == 403
        assert relay.run.failures[0]["message"].startswith("TLS failed")
        assert relay.upstream.requests == []


class Proxy:
    """A proxy that makes tunnels, and passes requests with an absolute target on."""

    def __init__(self, status=b"200"):
        self.heads = []
        self.tasks = []
        self._status = status

    async def serve(self, reader, writer):
        self.tasks.append(asyncio.current_task())
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        method, target = head.split(b" ")[:2]
        place = target if method == b"CONNECT" else target.split(b"/")[2]
        if method == b"CONNECT":
            writer.write(b"HTTP/1.1 %s Answer\r\n\r\n" % self._status)
            if self._status != b"200":
                writer.close()
                return
        there, back = await asyncio.open_connection("127.0.0.1", int(place.rpartition(b":")[2]))
        if method != b"CONNECT":
            back.write(head)
        await asyncio.gather(self._copy(reader, back), self._copy(there, writer))

    async def _copy(self, reader, writer):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def proxied(monkeypatch, proxy):
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://user:p%40ss@127.0.0.1:{server.sockets[0].getsockname()[1]}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    yield proxy
    server.close()
    await asyncio.wait_for(asyncio.gather(*proxy.tasks), 10)


async def test_a_proxy_makes_a_tunnel_for_tls(folder, certificate, monkeypatch):
    context, file = certificate
    async with (
        proxied(monkeypatch, Proxy()) as proxy,
        relayed(folder, tls=context, environ={"NODE_EXTRA_CA_CERTS": file}) as relay,
    ):
        for _ in range(2):
            assert (await relay.post()).content == sse()
    assert len(proxy.heads) == 1
    assert proxy.heads[0].startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % relay.upstream.port)
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in proxy.heads[0]
    assert b"the real key" not in proxy.heads[0]


async def test_a_proxy_passes_plain_requests_on(folder, monkeypatch):
    async with proxied(monkeypatch, Proxy()) as proxy, relayed(folder) as relay:
        assert (await relay.post()).content == sse()
    assert proxy.heads[0].startswith(
        b"POST http://127.0.0.1:%d/v1/messages?beta=true HTTP/1.1\r\n" % relay.upstream.port
    )


async def test_a_proxy_that_refuses_is_named(folder, certificate, monkeypatch, quick):
    async with proxied(monkeypatch, Proxy(b"407")), relayed(folder, tls=certificate[0], clock=0.5) as relay:
        assert (await relay.post()).status_code == 403
        assert relay.run.failures[0]["message"] == "proxy refused"


async def test_no_proxy_is_kept(folder, monkeypatch):
    async with proxied(monkeypatch, Proxy()) as proxy:
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with relayed(folder) as relay:
            assert (await relay.post()).content == sse()
    assert proxy.heads == []


async def test_a_socket_with_a_long_path_is_bound(folder):
    deep = folder / ("d" * 120)
    deep.mkdir()
    async with relayed(folder) as relay:
        line = Relay(Credential.of({}), {}, 5).line()
        await line.open(deep / "relay")
        handle = os.open(deep, os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"/proc/self/fd/{handle}/relay")
        os.close(handle)
        await line.close()
        assert relay.run.failures == []
