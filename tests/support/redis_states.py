"""States of a Redis in which a worker must be able to stop."""

import signal
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import psutil
import redis

from tests.support.redis_server import RedisServer


class _Loading(socketserver.ThreadingTCPServer):
    """Answers each command with LOADING."""

    allow_reuse_address = True
    daemon_threads = True

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with suppress(OSError):
                while data := self.request.recv(65_536):
                    # A command is an array of bulk strings, which begins with `*`.
                    for _ in range(max(data.count(b"*"), 1)):
                        self.request.sendall(b"-LOADING Redis is loading the dataset in memory\r\n")


@contextmanager
def in_state(server: RedisServer, state: str) -> Iterator[None]:
    """Put a server into a state, and restore it at the end."""
    with _STATES[state](server):
        yield


@contextmanager
def _refusing(server: RedisServer) -> Iterator[None]:
    server.kill()
    try:
        yield
    finally:
        server.start()


@contextmanager
def _hanging(server: RedisServer) -> Iterator[None]:
    process = psutil.Process(server.pid)
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@contextmanager
def _replica(server: RedisServer, serves_stale_data: str) -> Iterator[None]:
    with redis.Redis(port=server.port) as client:
        client.config_set("replica-serve-stale-data", serves_stale_data)
        client.replicaof("127.0.0.1", "9")  # nobody listens there
        try:
            yield
        finally:
            client.replicaof("NO", "ONE")
            client.config_set("replica-serve-stale-data", "yes")


@contextmanager
def _wrong_password(server: RedisServer) -> Iterator[None]:
    with redis.Redis(port=server.port, single_connection_client=True) as client:
        client.config_set("requirepass", "another")
        for kind in ("normal", "pubsub"):
            client.client_kill_filter(_type=kind, skipme=True)
        try:
            yield
        finally:
            client.config_set("requirepass", "")


@contextmanager
def _loading(server: RedisServer) -> Iterator[None]:
    server.kill()
    with _Loading(("127.0.0.1", server.port), _Loading.Handler) as loading:
        thread = threading.Thread(target=loading.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            loading.shutdown()
            thread.join()
            loading.server_close()
            server.start()


_STATES: dict[str, Callable[[RedisServer], AbstractContextManager[None]]] = {
    "refusing": _refusing,
    "hanging": _hanging,
    "read-only": lambda server: _replica(server, "yes"),
    "without-primary": lambda server: _replica(server, "no"),
    "wrong-password": _wrong_password,
    "loading": _loading,
}
STATES = tuple(_STATES)
