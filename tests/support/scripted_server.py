"""The HTTP server of a scripted model, which can cut a response anywhere."""

import json
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from local.messages_api import (
    Answer,
    Block,
    JsonObject,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    answer_body,
    answer_events,
    encode_event,
    error_body,
)
from tests.support.scripted_replies import A_FEW_TOKENS, Disconnect, Error, Hang, Reply, Text, Thinking, ToolUse


@dataclass(frozen=True)
class Received:
    """A received request: headers by lower-case name, the parsed body, and the monotonic time in seconds."""

    path: str
    headers: dict[str, str]
    body: JsonObject
    at: float


class ScriptedServer(socketserver.ThreadingTCPServer):
    """A server on a free port of 127.0.0.1 that calls `take` for the replies to each `POST /v1/messages`.

    One thread per connection; `closing` ends every wait in them.
    """

    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, take: Callable[[Received], list[Reply]], closing: threading.Event) -> None:
        self.take = take
        self.closing = closing
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        """Wake every thread that waits for its client; each then closes its own socket."""
        with self._lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the client closed it first

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do not log disconnected clients, which many tests cause."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ScriptedServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Keep the test's output clean."""

    def do_GET(self) -> None:
        self._whole(404, error_body("not_found_error", self.path))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.partition("?")[0] == "/v1/messages/count_tokens":
            self._whole(200, {"input_tokens": len(json.dumps(body["messages"]))})
            return
        if self.path.partition("?")[0] != "/v1/messages":
            self._whole(404, error_body("not_found_error", self.path))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        replies = self.server.take(Received(self.path, headers, body, time.monotonic()))
        streams = bool(body.get("stream"))
        match replies[0]:
            case Error(after_chunks=chunks) as error if chunks and streams:
                self._stream(_spoken(body, chunks), ending=encode_event(error_body(error.type, error.message)))
            case Error(status, kind, message, extra):
                self._whole(status, error_body(kind, message), extra)
            case Disconnect(after_chunks=chunks, delay_between=delay):
                if chunks and streams:
                    self._stream(_spoken(body, chunks), delay, ending=b"")
                self.close_connection = True
            case Hang(until):
                while not until.wait(0.02) and not self.server.closing.is_set():
                    pass
                self._answer(body, [Text("ok")])
            case _:
                self._answer(body, replies)

    def _answer(self, body: JsonObject, replies: list[Reply]) -> None:
        texts = [reply for reply in replies if isinstance(reply, Text)]
        first = texts[0] if texts else Text([])
        blocks = [block for reply in replies if (block := _block(reply)) is not None]
        answer = Answer(first.model or body["model"], blocks, first.usage, first.stop_reason)
        self.server.closing.wait(first.delay_before)
        if body.get("stream"):
            self._stream(answer, first.delay_between)
        else:
            self._whole(200, answer_body(answer))

    def _stream(self, answer: Answer, delay_between: float = 0, ending: bytes | None = None) -> None:
        """Send an answer; an `ending` replaces everything after the last chunk, and an empty one cuts."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in answer_events(answer):
            if ending is not None and event["type"] == "content_block_stop":
                break
            self._chunk(encode_event(event))
            if event["type"] == "content_block_delta":
                self.server.closing.wait(delay_between)
        if ending:
            self._chunk(ending)
        if ending != b"":
            self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _whole(self, status: int, body: JsonObject, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        whole = {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}
        self.send_response(status)
        for name, value in whole.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def _block(reply: Reply) -> Block | None:
    match reply:
        case Text(chunks):
            return TextBlock([chunks] if isinstance(chunks, str) else chunks) if chunks else None
        case Thinking(text):
            return ThinkingBlock(text)
        case ToolUse(name, given):
            return ToolCall(name, given)
        case _:
            return None


def _spoken(body: JsonObject, chunks: int) -> Answer:
    return Answer(body["model"], [TextBlock(["chunk "] * chunks)], A_FEW_TOKENS)
