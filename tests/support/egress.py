"""A run's proxy for its tools, and a TLS server that answers behind it; names resolve as a test says."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import trustme

from functions.worker.relay import egress as egress_module
from functions.worker.relay.egress import Connection, Egress, EgressPolicy
from functions.worker.relay.proxy import RunProxy
from shared.egress import targets
from tests.support.waiting import until_async

HOST = "tools.example"
LOOPBACK = (ip_network("127.0.0.0/8"),)
END = b"\r\n\r\n"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one HTTP request."""
    await reader.readuntil(END)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nhello\n")


@dataclass
class Target:
    """A target that the proxy may connect to; `serve` answers each connection, with TLS."""

    serve: Serve = greet
    authority: trustme.CA = field(default_factory=trustme.CA)
    connections: int = 0
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def server_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert(HOST, "other.example").configure_cert(context)
        return context

    def client_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    def write_authority(self, path: Path) -> None:
        self.authority.cert_pem.write_to_path(path)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        with suppress(OSError, asyncio.IncompleteReadError):
            await self.serve(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@dataclass
class Proxied:
    """A running proxy; `ended` are its connections, `names` what names resolve to, `lookups` what was looked up."""

    target: Target
    egress: Egress
    proxy: RunProxy
    port: int = 0
    ended: list[Connection] = field(default_factory=list)
    names: dict[str, list[str]] = field(default_factory=dict)
    lookups: list[str] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self, head: bytes) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
        """Send the head of a request; return that of the answer, and the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        writer.write(head)
        return await reader.readuntil(END), reader, writer

    async def answer(self, head: bytes) -> tuple[int, str]:
        """Send the head of a request that is refused; return the status and the body."""
        answer, reader, writer = await self.connect(head)
        body = await reader.read()
        writer.close()
        return int(answer.split()[1]), body.decode()

    async def open(self, host: str = HOST, server_name: str | None = None) -> Any:
        """Return a TLS connection through a tunnel."""
        answer, reader, writer = await self.connect(connect_to(f"{host}:{self.port_of_target}"))
        assert answer.split()[1] == b"200", answer
        await writer.start_tls(self.target.client_context(), server_hostname=server_name or host)
        return reader, writer

    @property
    def port_of_target(self) -> int:
        return egress_module.PORT

    async def records(self, count: int) -> list[Connection]:
        """Wait until so many connections have ended."""
        await until_async(lambda: len(self.ended) >= count)
        return self.ended


def connect_to(target: str) -> bytes:
    """Return the head of a CONNECT request."""
    return f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()


def client_hello(server_name: str) -> bytes:
    """Return the first bytes of a TLS client."""
    outgoing = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=server_name)
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@asynccontextmanager
async def proxied(
    monkeypatch: pytest.MonkeyPatch,
    listener: socket.socket | None = None,
    *,
    serve: Serve = greet,
    hosts: tuple[str, ...] = (HOST,),
    tls: bool = True,
    **policy: Any,
) -> AsyncIterator[Proxied]:
    """Run a proxy on a socket, of loopback by default; its port 443 is that of the target."""
    target = Target(serve)
    server = await asyncio.start_server(target.accept, "127.0.0.1", 0, ssl=target.server_context() if tls else None)
    monkeypatch.setattr(egress_module, "PORT", server.sockets[0].getsockname()[1])
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    ended: list[Connection] = []

    egress = Egress(EgressPolicy(hosts, **{"networks": LOOPBACK, **policy}), ended.append)
    found = Proxied(target, egress, RunProxy(egress), ended=ended, names={HOST: ["127.0.0.1"]})

    async def look_up(host: str, port: int, _owner: str) -> list[Any]:
        found.lookups.append(host)
        if host not in found.names:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found.names[host]]

    monkeypatch.setattr(targets, "look_up", look_up)
    listener = listener or socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    found.port = listener.getsockname()[1]
    await found.proxy.start(listener)
    try:
        yield found
    finally:
        found.proxy.end()
        await found.proxy.wait()
        server.close()
        for writer in found.writers:
            writer.transport.abort()
        for task in target.tasks:
            task.cancel()
        await asyncio.gather(*target.tasks, return_exceptions=True)
