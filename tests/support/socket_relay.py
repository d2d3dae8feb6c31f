"""Relays for tests: connections of a Unix socket or a port go to an HTTP server on loopback, byte for byte."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class _Relay:
    """Accepts connections from `with` to the end of it, and connects each to the server at a URL."""

    def __init__(self, listener: socket.socket, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 80)
        self._listener = listener
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._listener.listen()
        self._start(self._accept)
        return self

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)
        thread.start()
        self._threads.append(thread)

    def _accept(self) -> None:
        while True:
            try:
                near = self._listener.accept()[0]
            except OSError:
                return
            far = socket.create_connection(self._target)
            far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open += [near, far]
            self._start(_copy, near, far)
            self._start(_copy, far, near)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            _end(connection)
        for thread in self._threads:
            thread.join()
        for connection in self._open:
            connection.close()


class SocketRelay(_Relay):
    """Listens on a Unix socket."""

    def __init__(self, path: Path, url: str) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        super().__init__(listener, url)


class PortRelay(_Relay):
    """Listens on a free port of an address; `url` is where."""

    def __init__(self, host: str, url: str) -> None:
        listener = socket.create_server((host, 0))
        super().__init__(listener, url)
        self.url = f"http://{host}:{listener.getsockname()[1]}"


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    _end(source)
    _end(target)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
