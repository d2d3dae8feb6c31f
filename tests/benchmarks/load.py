"""Load an HTTP server through connections with one request in flight each."""

import asyncio
import re
import time
from collections.abc import Callable
from typing import cast

_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)

Request = Callable[[int], bytes]
"""Makes the n-th request, head and body."""


def post(path: str, body: bytes) -> bytes:
    """Return the bytes of a request with a JSON body."""
    fields = f"Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"POST {path} HTTP/1.1\r\n{fields}\r\n".encode() + body


def get(path: str) -> bytes:
    """Return the bytes of a request without a body."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


class _Load:
    def __init__(self, request: Request, expected: int) -> None:
        self.request = request
        self.expected = f"HTTP/1.1 {expected} ".encode()
        self.sent = self.answered = 0
        self.over = False
        self.wrong: bytes | None = None

    def next(self) -> bytes:
        self.sent += 1
        return self.request(self.sent)


class _Connection(asyncio.Protocol):
    def __init__(self, load: _Load) -> None:
        self._load = load
        self._seen = b""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._transport.write(self._load.next())

    def data_received(self, data: bytes) -> None:
        self._seen += data
        head, whole, body = self._seen.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not whole or length is None or len(body) < int(length[1]):
            return
        if not head.startswith(self._load.expected):
            self._load.wrong = self._seen
        self._seen = b""
        self._load.answered += 1
        if self._load.over or self._load.wrong:
            self._transport.close()
        else:
            self._transport.write(self._load.next())

    def connection_lost(self, _exc: Exception | None) -> None:
        self._load.over = True
        self.closed.set_result(None)


async def rate(port: int, request: Request, expected: int, *, connections: int, seconds: float) -> float:
    """Return the responses per second. Raises AssertionError on an unexpected status."""
    load = _Load(request, expected)
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    made = [await loop.create_connection(lambda: _Connection(load), "127.0.0.1", port) for _ in range(connections)]
    await asyncio.sleep(seconds)
    answered, took = load.answered, time.perf_counter() - started
    assert not load.over, load.wrong or "a connection was lost"
    load.over = True
    await asyncio.gather(*(connection.closed for _, connection in made))
    assert load.wrong is None, load.wrong
    return answered / took
