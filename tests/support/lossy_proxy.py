"""A TCP proxy before Redis that drops the reply to a command that a test names."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class LossyProxy:
    """Forwards connections to a free port in both directions within a `with` block.

    `lose` names bytes of a command: the next request with them reaches the server, but instead of its reply
    the connection is cut; after `swallow`, it stays open and silent.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._lose: bytes | None = None
        self._cut = True
        self.lost = 0
        self._open: list[socket.socket] = []

    def lose(self, command: bytes) -> None:
        """Drop the reply to the next request with these bytes, and cut the connection."""
        self._lose, self._cut = command, True

    def swallow(self, command: bytes) -> None:
        """Drop the reply, and leave the connection open."""
        self._lose, self._cut = command, False

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
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                losing = threading.Event()
                threading.Thread(target=self._requests, args=(client, server, losing), daemon=True).start()
                threading.Thread(target=self._replies, args=(client, server, losing), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, losing: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 20):
                if self._lose is not None and self._lose in data:
                    self._lose = None
                    losing.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _replies(self, client: socket.socket, server: socket.socket, losing: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 20):
                if losing.is_set():
                    self.lost += 1
                    if not self._cut:
                        continue
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)
