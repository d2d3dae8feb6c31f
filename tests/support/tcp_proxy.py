"""A TCP proxy on loopback, the base of proxies that a test puts in front of Redis."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class Link:
    """A client's connection and the connection to the server to which it is forwarded."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server


class TcpProxy:
    """Forwards connections to a free port in both directions within a `with` block.

    A subclass overrides `on_request` and `on_reply` to change what is forwarded. A connection stays with its server.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.links: list[Link] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for connection in (self._listener, *(end for link in self.links for end in (link.client, link.server))):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def on_request(self, link: Link, data: bytes) -> None:
        """Forward a client's bytes."""
        link.server.sendall(data)

    def on_reply(self, link: Link, data: bytes) -> None:
        """Forward a server's bytes."""
        link.client.sendall(data)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    client.close()
                    continue
                link = Link(client, server)
                self.links.append(link)
                for forward in (self._requests, self._replies):
                    threading.Thread(target=forward, args=(link,), daemon=True).start()

    def _requests(self, link: Link) -> None:
        with suppress(OSError):
            while data := link.client.recv(1 << 20):
                self.on_request(link, data)
        # Also after a client that closes with unread replies, which ends in an error.
        with suppress(OSError):
            link.server.shutdown(socket.SHUT_WR)

    def _replies(self, link: Link) -> None:
        with suppress(OSError):
            while data := link.server.recv(1 << 20):
                self.on_reply(link, data)
        with suppress(OSError):
            link.client.shutdown(socket.SHUT_RDWR)
