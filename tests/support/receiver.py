"""A receiver of webhooks with scripted answers."""

import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self

from tests.support.quiet_http import QuietHandler, QuietServer


@dataclass(frozen=True)
class Hook:
    """A received webhook; `at` is the monotonic time in s, `connection` identifies its connection."""

    path: str
    headers: dict[str, str]
    body: str
    at: float
    connection: tuple[str, int]

    @property
    def id(self) -> str:
        """The `webhook-id`."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        """The body, parsed."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


# A status with headers, or instead: silence until the end, a cut connection, an endless body.
Reply = tuple[int, dict[str, str]] | str


class Receiver:
    """Listens on 127.0.0.1 within a `with` block; `reply` returns the answer to each webhook.

    With an empty `address` it listens on every address of this machine.
    """

    def __init__(self, reply: Callable[[Hook], Reply] = lambda hook: (204, {}), *, address: str = "127.0.0.1") -> None:
        self.reply = reply
        self.hooks: list[Hook] = []
        self.closing = threading.Event()
        receiver = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:  # noqa: N802 -- the base class names it so
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                headers = {name.lower(): value for name, value in self.headers.items()}
                hook = Hook(self.path, headers, body, time.monotonic(), self.client_address)
                receiver.hooks.append(hook)
                receiver.answer(self, receiver.reply(hook))

        self.server = QuietServer((address, 0), Handler)
        self.port: int = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def answer(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        """Carry out a reply."""
        match reply:
            case (int(status), dict(headers)):
                handler.send_response(status)
                for name, value in {"content-length": "0", **headers}.items():
                    handler.send_header(name, value)
                handler.end_headers()
            case "hang":
                self.closing.wait()
            case "reset":
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                handler.close_connection = True
                handler.connection.close()
            case "endless":
                handler.send_response(200)
                handler.end_headers()
                while not self.closing.is_set():
                    handler.wfile.write(b"x" * 65_536)
            case _:
                raise AssertionError(f"no such reply: {reply!r}")

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.closing.set()
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()
