"""A TCP forwarder before Redis with a changeable target, like a DNS name during a failover."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

import hiredis


class Switch:
    """Listens on its own port within a `with` block.

    A connection stays with its server until the client closes it. After `refuse`, those that are
    open at that time answer every command with an error, and those opened later do not.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._open: list[socket.socket] = []
        self._refusal = b""
        self._refusing: set[socket.socket] = set()

    def lead_to(self, port: int) -> None:
        """Forward new connections to another port."""
        self._target = port

    def refuse(self, error: str) -> None:
        """Answer every command on the connections that are open now with an error."""
        self._refusal = f"-{error}\r\n".encode()
        self._refusing = set(self._open)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for connection in (self._listener, *self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    client.close()
                    continue
                self._open += [client, server]
                threading.Thread(target=self._requests, args=(client, server), daemon=True).start()
                threading.Thread(target=self._replies, args=(client, server), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 20):
                if client in self._refusing:
                    client.sendall(self._refusal * _commands_in(data))
                else:
                    server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _replies(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 20):
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)


def _commands_in(data: bytes) -> int:
    reader = hiredis.Reader()
    reader.feed(data)
    count = 0
    while reader.gets() is not False:
        count += 1
    return count
