"""Failover: closes connections to a server that is no longer the primary.

A connection outlives a change of the address behind its host name. When a server answers that it takes no
writes, every connection of this process to that address is closed, also those that only read or subscribe. redis-py
opens each again at its next use, which resolves the name again, and sends the command once more.
"""

import threading
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from shared.store.redis import failures, internals

# Error codes of a server that is not, or not yet, the primary.
_NOT_PRIMARY = {"READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "UNBLOCKED", "NOREPLICAS"}
# Only the connection with this error is opened again: the others are logged in, and might not be again.
_NOT_LOGGED_IN = {"NOAUTH", "WRONGPASS"}
# Seconds between two closings of all connections, while the name still leads to the old server.
_CLOSE_EVERY = 1.0


class NotPrimaryError(RedisConnectionError):
    """The server answered that it takes no writes; redis-py connects again, as after a broken connection."""


class _Connections:
    """The connections of this process to one address; may be used by any thread."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._open: WeakKeyDictionary[Any, tuple[float, Callable[[], None]]] = WeakKeyDictionary()
        self._lost_at = 0.0
        self._closed = -_CLOSE_EVERY
        self._timer: threading.Timer | None = None

    def opened(self, parser: Any, close: Callable[[], None]) -> None:
        with self._lock:
            self._open[parser] = time.monotonic(), close
        failures.connected(self._url)

    def judge(self, text: str, error: Exception) -> Exception:
        """Return the exception for an error that Redis has written."""
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
            self._lost_at = time.monotonic()
            wait = self._closed + _CLOSE_EVERY - self._lost_at
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
            # Connections that were opened since may lead to the new primary.
            old = [close for opened, close in self._open.values() if opened < self._lost_at]
        for close in old:
            close()


_known: dict[str, _Connections] = {}


def async_parser(url: str) -> type[Any]:
    """Return the reply parser class for asynchronous connections to a URL."""
    connections = _known.setdefault(url, _Connections(url))

    class Parser(internals.AsyncParser):  # type: ignore[misc]
        def on_connect(self, connection: Any) -> None:
            super().on_connect(connection)
            connections.opened(self, internals.async_closer(connection))

        @classmethod
        def parse_error(cls, response: str) -> Exception:
            return connections.judge(response, super().parse_error(response))

    return Parser


def sync_parser(url: str) -> type[Any]:
    """Return the reply parser class for blocking connections to a URL."""
    connections = _known.setdefault(url, _Connections(url))

    class Parser(internals.SyncParser):  # type: ignore[misc]
        def on_connect(self, connection: Any) -> None:
            super().on_connect(connection)
            connections.opened(self, internals.sync_closer(connection))

        @classmethod
        def parse_error(cls, response: str) -> Exception:
            return connections.judge(response, super().parse_error(response))

    return Parser
