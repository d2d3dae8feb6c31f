"""One connection to Claude: heads are parsed, bodies followed to their end and passed as the bytes that came."""

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

from functions.worker.relay.answer import Answer
from functions.worker.relay.heads import END, MAX_HEAD, Head
from functions.worker.relay.metering import READ

_WITHOUT_BODY = {204, 304}
_MESSAGE, _ERROR = READ


class UpstreamConnection(asyncio.Protocol):
    """A connection that serves one request at a time; `on_free` is called when it can take the next one."""

    def __init__(self, on_free: "Callable[[UpstreamConnection], None]") -> None:
        self._on_free = on_free
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._buffer = b""
        self._in_body = False
        self._complete = False
        self._keeps = False
        # Whether the parser has read whole chunks only: then it need not see the next whole chunk.
        self._between_chunks = False
        self._parts: list[bytes] = []
        self.free_since = 0.0
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, of TCP or of TLS."""
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:
        """End the answer, which is whole only if nothing else says where it ends."""
        self.is_open = False
        answer, self._answer = self._answer, None
        if answer is not None:
            framed = any(name in answer.head.headers for name in ("content-length", "transfer-encoding"))
            answer.end(whole=exc is None and self._in_body and not framed)

    def ask(self, request: bytes, body: bytes) -> Answer:
        """Send a request and return its answer."""
        assert self._transport is not None and self._answer is None  # noqa: S101, PT018 -- by the pool
        self._answer = Answer(self.close, self.pause)
        self._buffer, self._in_body, self._complete = b"", False, False
        self._parser = None
        self._between_chunks = False
        self._transport.writelines([request, body])
        return self._answer

    def pause(self) -> None:
        """Read no more until `resume`."""
        if self._transport is not None and self.is_open:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and self.is_open:
            self._transport.resume_reading()

    def close(self) -> None:
        """Close it at once, whatever is in flight."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take bytes of an answer; bytes without a request end the connection."""
        answer = self._answer
        # Few calls: each packet wakes a process whose caches are cold, where code that is not run is time saved.
        if (
            self._between_chunks
            and answer is not None
            and (sink := answer.unread_to) is not None
            and _is_unread_chunk(data)
        ):
            answer.received += 1
            sink.write(data)
            if sink.is_full:
                self.pause()
            return
        if self._answer is None:
            self.close()
            return
        try:
            if self._in_body:
                self._take(data)
            else:
                self._take_head(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._give_up("malformed answer")

    def _take_head(self, data: bytes) -> None:
        self._buffer += data
        while not self._in_body and (at := self._buffer.find(END)) >= 0:
            if at > MAX_HEAD:
                break
            head, self._buffer = self._buffer[: at + len(END)], self._buffer[at + len(END) :]
            self._read_head(head)
        if not self._in_body and len(self._buffer) > MAX_HEAD:
            self._give_up("head too large")
        elif self._in_body and self._answer is not None:
            rest, self._buffer = self._buffer, b""
            if rest or self._complete:
                self._take(rest)

    def _read_head(self, data: bytes) -> None:
        answer = self._answer
        assert answer is not None  # noqa: S101 -- by data_received
        answer.head = Head()
        self._complete = False
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(data)
        answer.head.status = self._parser.get_status_code()
        if answer.head.is_ambiguous or answer.head.status == 101:
            raise httptools.HttpParserError
        # 100 Continue and its like come before the answer.
        self._in_body = answer.head.status >= 200
        self._complete = self._complete or answer.head.status in _WITHOUT_BODY

    def _take(self, data: bytes) -> None:
        answer, parser = self._answer, self._parser
        assert answer is not None and parser is not None  # noqa: S101, PT018 -- by data_received
        self._parts = []
        if data:
            if self._complete:
                raise httptools.HttpParserError
            parser.feed_data(data)
        answer.data(data, self._parts)
        if self._complete and self._answer is not None:
            self._answer = None
            keeps = self._keeps and self.is_open
            answer.end(whole=True)
            if keeps:
                self.resume()
                self._on_free(self)
            else:
                self.close()

    def _give_up(self, reason: str) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.fail(reason)
        self.close()

    # Callbacks of the parser.

    def on_message_begin(self) -> None:
        """Refuse a second message behind the first."""
        if self._complete:
            raise httptools.HttpParserError

    def on_headers_complete(self) -> None:
        """Note whether the connection stays; the parser forgets it at the end of the message."""
        if not self._in_body and self._parser is not None:
            self._keeps = self._parser.should_keep_alive()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one after the body is a trailer, which is passed on as it came."""
        if not self._in_body and self._answer is not None:
            self._answer.head.add(name, value)

    def on_body(self, body: bytes) -> None:
        """Take bytes of the body."""
        self._parts.append(body)

    def on_chunk_header(self) -> None:
        """Note the beginning of a chunk."""
        self._between_chunks = False

    def on_chunk_complete(self) -> None:
        """Note the end of a chunk."""
        self._between_chunks = True

    def on_message_complete(self) -> None:
        """Take the end of the message."""
        self._between_chunks = False
        self._complete = True


def _is_unread_chunk(data: bytes) -> bool:
    """Return whether bytes are exactly one chunk, written in the plainest way, of whole events that are not metered.

    Nearly every packet of a stream is.
    """
    if data[-3:] != b"\n\r\n" or _MESSAGE in data or _ERROR in data:
        return False
    at = data.find(b"\r\n", 0, 8)
    # The last chunk begins with a zero.
    if at <= 0 or data[0] == 0x30 or not data[:at].isalnum():
        return False
    try:
        return int(data[:at], 16) == len(data) - at - 4
    except ValueError:
        return False
