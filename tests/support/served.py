"""A small app with the gateway's HTTP protocol in a thread, and raw sockets to it."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from local.http_protocol import BoundedProtocol

BIG = b"x" * (8 << 20)


FIXED = {
    "/health/live": (200, b"alive", []),
    "/refuse": (413, b"too large", [(b"connection", b"close")]),
    "/keep": (401, b"no key", []),
    "/big": (200, BIG, []),
}


async def app(scope, receive, send):
    """Answer some paths without reading the body; for others echo path and body, or the header fields."""
    path = scope["path"]
    if path == "/early":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": await read_body(receive)})
        return
    if path in FIXED:
        status, body, headers = FIXED[path]
    else:
        read = await read_body(receive)
        if read is None:
            return
        fields = json.dumps([[name.decode(), value.decode()] for name, value in scope["headers"]])
        status, body, headers = 200, fields.encode() if path == "/headers" else path.encode() + b" " + read, []
    headers = [(b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read_body(receive):
    """Return the whole body; None from a disconnected client."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return body


@contextmanager
def served(**options) -> Iterator["Peer"]:
    """Serve the app within a `with` block."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        app, http=BoundedProtocol, ws="none", lifespan="off", log_config=None, timeout_graceful_shutdown=1,
        server_header=False, proxy_headers=False, **options,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield Peer(listener.getsockname()[1], server.server_state.connections)
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


class Peer:
    """Opens connections to a port of this machine; `held` are those of the server."""

    def __init__(self, port: int, held: set[Any]) -> None:
        self.port = port
        self.held = held

    def connect(self) -> socket.socket:
        """Open a connection that waits 10 s at most for an answer."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def ask(self, data: bytes) -> bytes:
        """Send bytes on a new connection and return everything received until its end."""
        with self.connect() as connection:
            connection.sendall(data)
            return read_all(connection)

    def alive(self) -> bool:
        """Return whether a liveness check is answered."""
        answer = self.ask(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return answer.startswith(b"HTTP/1.1 200 ")


def read_all(connection: socket.socket) -> bytes:
    """Read to the end of a connection."""
    parts = []
    try:
        while part := connection.recv(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        parts.append(b"<reset>")
    return b"".join(parts)


def read_answer(connection: socket.socket) -> bytes:
    """Read one answer that has a Content-Length."""
    text = b""
    while b"\r\n\r\n" not in text:
        part = connection.recv(1)
        if not part:
            return text
        text += part
    length = next(
        int(line.split(b":")[1]) for line in text.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while length:
        part = connection.recv(length)
        if not part:
            break
        text, length = text + part, length - len(part)
    return text
