"""Failover: closes connections that lead to a server which is not the primary any more.

A connection outlives the change of the name that it was made by. When one learns that its server takes no writes, every
connection of this process to that address is closed, also those that only read or subscribe. redis-py opens each again
at its next use, which resolves the name again, and sends the command once more.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import redis.asyncio.connection
import redis.connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from shared.store.redis import failures

# What a server says that is not, or not yet, the primary that the others should stay with.
_NOT_PRIMARY = {"READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "UNBLOCKED", "NOREPLICAS"}
# The connection that hears this is opened again; the others are logged in, and would perhaps not be again.
_NOT_LOGGED_IN = {"NOAUTH", "WRONGPASS"}
# All connections are closed at most this often while the name still leads to the old server; seconds.
_CLOSE_EVERY = 1.0


class NotPrimaryError(RedisConnectionError):
    """The server answered that it takes no writes; redis-py connects again, as after a broken connection."""


class _Connections:
    """The connections of this process to one address; may be used by any thread."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._open: WeakKeyDictionary[Any, tuple[float, Callable[[], None]]] = WeakKeyDictionary()
        self._learned = 0.0
        self._closed = -_CLOSE_EVERY
        self._timer: threading.Timer | None = None

    def opened(self, parser: Any, close: Callable[[], None]) -> None:
        with self._lock:
            self._open[parser] = time.monotonic(), close
        failures.connected(self._url)

    def judge(self, text: str, error: Exception) -> Exception:
        """Return what is raised for an error that Redis wrote."""
        code = failures.code_in(text)
        if code in _NOT_PRIMARY:
            self._lose()
        if code in _NOT_PRIMARY | _NOT_LOGGED_IN and not isinstance(error, RedisConnectionError):
            error = NotPrimaryError(text)
        if isinstance(error, RedisError):
            error.status_code = code
        return error

    def _lose(self) -> None:
        with self._lock:
            self._learned = time.monotonic()
            wait = self._closed + _CLOSE_EVERY - self._learned
            if wait > 0:
                if self._timer is None:
                    self._timer = threading.Timer(wait, self._close_all)
                    self._timer.daemon = True
                    self._timer.start()
                return
        self._close_all()

    def _close_all(self) -> None:
        with self._lock:
            self._timer, self._closed = None, time.monotonic()
            # Those that were opened since may lead to the new primary.
            old = [close for opened, close in self._open.values() if opened < self._learned]
        for close in old:
            close()


_known: dict[str, _Connections] = {}


def async_parser(url: str) -> type[Any]:
    """Return the class that reads replies for asynchronous connections to a URL."""
    connections = _known.setdefault(url, _Connections(url))

    class Parser(redis.asyncio.connection.DefaultParser):  # type: ignore[misc, valid-type]
        def on_connect(self, connection: Any) -> None:
            super().on_connect(connection)
            loop, writer = asyncio.get_running_loop(), connection._writer  # noqa: SLF001 -- as redis-py's parsers do

            def close() -> None:
                with suppress(RuntimeError):  # the loop has ended, and its connections with it
                    loop.call_soon_threadsafe(writer.close)

            connections.opened(self, close)

        @classmethod
        def parse_error(cls, response: str) -> Exception:
            return connections.judge(response, super().parse_error(response))

    return Parser


def sync_parser(url: str) -> type[Any]:
    """Return the class that reads replies for blocking connections to a URL."""
    connections = _known.setdefault(url, _Connections(url))

    class Parser(redis.connection.DefaultParser):  # type: ignore[misc, valid-type]
        def on_connect(self, connection: Any) -> None:
            super().on_connect(connection)
            sock: socket.socket = connection._sock  # noqa: SLF001 -- as redis-py's parsers do

            def close() -> None:
                with suppress(OSError):
                    # Wakes a thread that blocks in reading; the file descriptor stays that thread's to close.
                    sock.shutdown(socket.SHUT_RDWR)

            connections.opened(self, close)

        @classmethod
        def parse_error(cls, response: str) -> Exception:
            return connections.judge(response, super().parse_error(response))

    return Parser
