"""An MCP server over HTTP. Its headers, which hold its token, are added here and are in no run."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from httpx2 import AsyncByteStream, AsyncClient, Auth, Response, StreamError, Timeout
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCError, jsonrpc_message_adapter

from functions.worker.json_values import count_values
from functions.worker.mcp.messages import LARGEST, MOST_VALUES, Message, Unreadable, too_large
from shared.mcp.config import Server

# How the library reports a body that `_Bounded` refuses, and an event that it refuses itself.
_TOO_LARGE = "The response is too large"
_LARGE = (_TOO_LARGE, "Server-sent event exceeded")
# Messages that wait to be sent.
_MOST_WAITING = 64


class Web:
    """Messages from and to a server over HTTP."""

    def __init__(self, incoming: Any, outgoing: Any) -> None:
        self._incoming, self._outgoing = incoming, outgoing

    def send(self, data: bytes) -> bool:
        """Send a message without waiting; return whether it was taken."""
        try:
            self._outgoing.send_nowait(SessionMessage(jsonrpc_message_adapter.validate_json(data, by_name=False)))
        except (anyio.WouldBlock, anyio.ClosedResourceError, anyio.BrokenResourceError):
            return False
        return True

    async def messages(self) -> AsyncIterator[Message | Unreadable]:
        """Yield what the server sends until the connection ends."""
        async for item in self._incoming:
            if isinstance(item, SessionMessage):
                message = item.message
                if isinstance(message, JSONRPCError) and any(sign in message.error.message for sign in _LARGE):
                    yield too_large(message.id)
                else:
                    yield message

    async def ended(self) -> None:
        """Never return: only the end of its messages shows the end of such a server."""
        await anyio.sleep_forever()


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Web]:
    """Connect with a server."""
    url, headers = server.url or "", {**server.headers, "Accept-Encoding": "identity"}
    if server.type == "sse":
        async with sse_client(url, headers=headers, httpx_client_factory=_client) as streams, _waiting(streams) as web:
            yield web
    else:
        async with (
            _client(headers) as client,
            streamable_http_client(url, http_client=client, max_sse_event_size=LARGEST) as streams,
            _waiting(streams) as web,
        ):
            yield web


@asynccontextmanager
async def _waiting(streams: Any) -> AsyncIterator[Web]:
    """Yield the messages of streams; up to a number of messages wait until they are sent."""
    incoming, to_server = streams
    waiting, queue = anyio.create_memory_object_stream[SessionMessage](_MOST_WAITING)

    async def pass_on() -> None:
        async for message in queue:
            await to_server.send(message)

    async with anyio.create_task_group() as tasks, waiting, queue:
        tasks.start_soon(pass_on)
        yield Web(incoming, waiting)
        tasks.cancel_scope.cancel()


def _client(
    headers: dict[str, str] | None = None, timeout: Timeout | None = None, auth: Auth | None = None
) -> AsyncClient:
    client = create_mcp_http_client(headers=headers, timeout=timeout, auth=auth)
    client.event_hooks = {"response": [_bound]}
    return client


async def _bound(response: Response) -> None:
    """Bound the body of a response; the library bounds each event of a stream of events."""
    if response.headers.get("content-encoding", "identity") != "identity":
        # What it expands to has no bound.
        raise StreamError("The response is compressed, although the request forbids it")
    if not response.headers.get("content-type", "").lower().startswith("text/event-stream"):
        response.stream = _Bounded(response)


class _Bounded(AsyncByteStream):
    def __init__(self, response: Response) -> None:
        self._stream = response.stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = values = 0
        async for chunk in self._stream:  # type: ignore[union-attr]
            size, values = size + len(chunk), values + count_values(chunk)
            if size > LARGEST or values > MOST_VALUES:
                raise StreamError(_TOO_LARGE)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()  # type: ignore[union-attr]
