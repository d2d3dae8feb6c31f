"""HTTP for deliveries: connects only to an address that has passed the egress check.

Connections are pooled by name, and TLS and the Host header use the name. Proxies, redirects and the
environment are not used.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from shared.egress import targets
from shared.store import keys

# The caller whose delivery the running task sends: the threads that resolve names are divided among callers.
current_caller: ContextVar[str] = ContextVar("caller", default=keys.ANONYMOUS)


class _GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to public addresses, and to those of `allowed` networks; raises EgressRefused for any other."""

    def __init__(self, allowed: Sequence[targets.Network]) -> None:
        self._allowed = allowed
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve the name, check every address, and connect to the first that answers."""
        async with asyncio.timeout(timeout):
            try:
                addresses = list(dict.fromkeys(await targets.resolve(targets.Target(host, port), current_caller.get())))
            except (OSError, UnicodeError):
                raise httpcore.ConnectError("its name does not resolve") from None
            targets.check(addresses, self._allowed)
            failure: Exception = httpcore.ConnectError("its name has no address")
            for address in addresses:
                try:
                    return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
                except httpcore.ConnectError as error:
                    failure = error
            raise failure


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: AsyncIterable[bytes]) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        if hasattr(self._stream, "aclose"):
            await self._stream.aclose()


class DeliveryTransport(httpx.AsyncBaseTransport):
    """The transport of deliveries; raises httpcore's errors, and EgressRefused."""

    def __init__(self, allowed: Sequence[targets.Network], *, connections: int) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=5,
            network_backend=_GuardedNetwork(allowed),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        assert isinstance(request.stream, httpx.AsyncByteStream)  # noqa: S101 -- of an async client
        url = httpcore.URL(
            scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path
        )
        response = await self._pool.handle_async_request(
            httpcore.Request(
                request.method, url, headers=request.headers.raw, content=request.stream, extensions=request.extensions
            )
        )
        assert isinstance(response.stream, AsyncIterable)  # noqa: S101 -- of an async pool
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response.stream))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()
