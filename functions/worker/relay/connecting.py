"""Connects to Claude: TCP, TLS, and the proxy that the environment names."""

import asyncio
import base64
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import cast
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import certifi

from functions.worker.relay.answer import UpstreamError
from functions.worker.relay.heads import END, MAX_HEAD

# Seconds until a connection is made, TLS included.
_WITHIN = 10.0


class Place:
    """The address of Claude and the route to it; the environment's proxy is used as curl does."""

    def __init__(self, url: SplitResult, environ: Mapping[str, str]) -> None:
        host = url.hostname or ""
        self.is_tls = url.scheme == "https"
        self.host, self.port = host, url.port or (443 if self.is_tls else 80)
        self.netloc = url.netloc
        self.prefix = url.path.rstrip("/")
        self._context = tls_context(environ) if self.is_tls else None
        self._proxy = proxy_for(url.scheme, self.host)
        if self._proxy is not None and not self.is_tls:
            self.prefix = f"http://{url.netloc}{self.prefix}"

    async def connect(self, make: Callable[[], asyncio.Protocol]) -> asyncio.Protocol:
        """Return a connected protocol; raise UpstreamError."""
        try:
            async with asyncio.timeout(_WITHIN):
                return await self._connect(make)
        except TimeoutError:
            raise UpstreamError("connection timed out") from None
        except ssl.SSLError as error:
            raise UpstreamError(f"TLS failed: {error.reason or 'handshake'}") from None
        except ConnectionRefusedError:
            raise UpstreamError("connection refused") from None
        except OSError as error:
            raise UpstreamError(f"connection failed: {_reason(error)}") from None

    async def _connect(self, make: Callable[[], asyncio.Protocol]) -> asyncio.Protocol:
        loop = asyncio.get_running_loop()
        if self._proxy is None:
            name = self.host if self.is_tls else None
            transport, protocol = await loop.create_connection(
                make, self.host, self.port, ssl=self._context, server_hostname=name
            )
        elif not self.is_tls:
            transport, protocol = await loop.create_connection(make, self._proxy.hostname or "", self._proxy.port or 80)
        else:
            raw, tunnel = await loop.create_connection(_Tunnel, self._proxy.hostname or "", self._proxy.port or 80)
            await tunnel.open(raw, self.netloc if ":" in self.netloc else f"{self.host}:443", self._proxy)
            protocol = make()
            assert self._context is not None  # noqa: S101 -- with TLS
            upgraded = await loop.start_tls(raw, protocol, self._context, server_hostname=self.host)
            transport = cast("asyncio.Transport", upgraded)
            protocol.connection_made(transport)
        keep_alive(transport)
        return protocol


class _Tunnel(asyncio.Protocol):
    """The answer of a proxy to CONNECT."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._buffer = b""

    async def open(self, transport: asyncio.Transport, target: str, proxy: SplitResult) -> None:
        """Ask for a tunnel to the target; raise UpstreamError."""
        transport.write(connect_head(target, proxy))
        if not is_connected(await self._answer):
            transport.abort()
            raise UpstreamError("proxy refused")

    def data_received(self, data: bytes) -> None:
        """Collect the head."""
        self._buffer += data
        if (END in self._buffer or len(self._buffer) > MAX_HEAD) and not self._answer.done():
            self._answer.set_result(self._buffer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- whatever the reason
        """Take the end of the connection."""
        if not self._answer.done():
            self._answer.set_result(b"")


def keep_alive(transport: asyncio.Transport) -> None:
    """Enable TCP keepalive: nothing else detects that the peer of an idle connection is gone."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family in {socket.AF_INET, socket.AF_INET6}:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def tls_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return how the relay checks the certificates of those that it connects to."""
    context = ssl.create_default_context()
    # As the CLI does: the well-known authorities, those of this machine, and those that the operator adds.
    context.load_verify_locations(certifi.where())
    if extra := environ.get("NODE_EXTRA_CA_CERTS"):
        context.load_verify_locations(extra)
    context.set_alpn_protocols(["http/1.1"])
    return context


def proxy_for(scheme: str, host: str) -> SplitResult | None:
    """Return the proxy that the environment names for a host; None for a direct connection."""
    found = getproxies_environment().get(scheme)
    if not found or proxy_bypass(host):
        return None
    return urlsplit(found if "//" in found else f"http://{found}")


def connect_head(target: str, proxy: SplitResult) -> bytes:
    """Return the request for a tunnel through a proxy to `HOST:PORT`."""
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.username is not None:
        pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
    return "\r\n".join(lines).encode() + END


def is_connected(head: bytes) -> bool:
    """Return whether a proxy has made the tunnel."""
    return head.split(b" ")[1:2] == [b"200"]


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "name not resolved"
    return os.strerror(error.errno).lower() if error.errno else "network"
