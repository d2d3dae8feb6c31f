"""What the HTTP servers of tests share: HTTP/1.1, and nothing in the test's output."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class QuietHandler(BaseHTTPRequestHandler):
    """Handles requests without a log."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
        """Keep the test's output clean."""


class QuietServer(ThreadingHTTPServer):
    """Serves without a log."""

    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do not log disconnected clients."""
