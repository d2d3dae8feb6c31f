"""uvicorn's HTTP/1.1 protocol with limits on the resources that an unauthenticated client can use.

| Limit | Value | Beyond it |
|---|---|---|
| request line and header fields | 64 KB, 100 fields | 431 |
| time for a request head | 15 s | 408; a connection that sent nothing is closed |
| time without a byte of an incomplete body | 60 s | 408 |
| framing bytes of a chunked body | 64 KB plus 16 times the content | 400 |
| queued pipelined requests | 100 | the rest is not read; the connection closes after the last response |
| time in which a client reads nothing of a response | 60 s | the connection is aborted |
| bytes and time of a body that is discarded after its response | 64 MB, 30 s | the connection is aborted |
| connections of this process | MAX_CONNECTIONS | 503; `/health/live` is answered |
"""

import asyncio
import math
from itertools import chain
from typing import Any

import httptools

from local.connections import Sweeper, most_connections
from local.held_writes import HeldWrites
from local.http_refusals import UNKNOWN, OverLimit, as_bytes, too_many
from local.short_responses import ShortResponses
from shared.api.errors import GatewayError, HeadTooLarge, MalformedRequest, RequestTimeout
from shared.http.problems import refusal
from shared.http.security_headers import request_id_headers

HEAD_BYTES, HEAD_FIELDS = 65_536, 100
HEAD_SECONDS, BODY_SECONDS, ANSWER_SECONDS = 15.0, 60.0, 60.0
FRAMING_BYTES, FRAMING_RATIO = 65_536, 16
PIPELINED = 100
DISCARD_BYTES, DISCARD_SECONDS = 64 << 20, 30.0
# Connections above the limit that are still read, so that liveness checks get a response; and their time limit.
SURPLUS, SURPLUS_SECONDS = 64, 5.0

# Phases of a connection. HEAD, BODY: reading a request. ANSWER: the app is responding. IDLE: no request. DISCARD: input
# is discarded while earlier responses are sent. LINGER: input is discarded so that the client can read the response.
HEAD, BODY, ANSWER, IDLE, DISCARD, LINGER = range(6)


class _Wire(HeldWrites):
    """A transport whose `close` lets the client read the response first."""

    def __init__(self, transport: asyncio.Transport, protocol: "BoundedProtocol") -> None:
        super().__init__(transport, protocol.loop)
        self._protocol = protocol

    def is_closing(self) -> bool:
        return self._protocol.phase == LINGER or self._transport.is_closing()

    def close(self) -> None:
        self._protocol.finish()


class BoundedProtocol(ShortResponses):
    """One connection. A sweep every second enforces the deadlines, so that requests need no timers."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the connection; refuse it if there are too many."""
        self.wire, self.responses = transport, _Wire(transport, self)
        self.phase = HEAD
        self.deadline = self.loop.time() + HEAD_SECONDS
        self._head = self._fields = 0
        self._raw = self._content = self._discarded = 0
        self._unread, self._unread_since = 0, 0.0
        # The body framing of a request that offers an upgrade, and whether its parsing is being resumed.
        self._framing, self._resuming = b"", False
        super().connection_made(self.responses)  # type: ignore[arg-type]
        sweeper = Sweeper.of(self.server_state, self.loop)
        sweeper.start()
        limit = most_connections()
        self._surplus = len(self.connections) > limit
        if self._surplus:
            self.deadline = self.loop.time() + SURPLUS_SECONDS
            self.app = OverLimit(self.app, limit)
            sweeper.surplus[self] = None
            if len(sweeper.surplus) > SURPLUS:
                # Close the longest idle surplus connection, so that idle sockets do not block liveness checks.
                oldest = next((one for one in sweeper.surplus if one.phase == HEAD), self)
                del sweeper.surplus[oldest]
                oldest.responses.write(as_bytes(too_many(limit, UNKNOWN)))
                oldest.finish()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection from the surplus."""
        Sweeper.of(self.server_state, self.loop).surplus.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the received data in pieces, so that the limit of the head is enforced exactly."""
        if self.phase >= DISCARD:
            self._discard(len(data))
            return
        if self.phase == IDLE:
            self.phase, self.deadline, self._head = HEAD, self.loop.time() + HEAD_SECONDS, 0
        try:
            while data and self.phase < DISCARD:
                data = self._feed(data)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, GatewayError) else MalformedRequest("The request is not HTTP/1.1"))
        except httptools.HttpParserError:
            self._refuse(MalformedRequest("The request is not HTTP/1.1"))
        except GatewayError as error:
            self._refuse(error)
        if self.phase == BODY:
            self.deadline = self.loop.time() + BODY_SECONDS

    def _feed(self, data: bytes) -> bytes:
        """Parse the beginning of the data and return the rest."""
        room = HEAD_BYTES - self._head if self.phase == HEAD else HEAD_BYTES
        if room <= 0:
            raise _too_large()
        piece, rest = (data, b"") if len(data) <= room else (data[:room], data[room:])
        if self.phase == HEAD:
            self._head += len(piece)
        elif self.phase == BODY:
            self._raw += len(piece)
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade()
            rest = piece[upgrade.args[0] :] + rest
        if self._raw - self._content * FRAMING_RATIO > FRAMING_BYTES:
            raise MalformedRequest("The chunked body has too much framing for its content; send larger chunks")
        return rest

    def _decline_upgrade(self) -> None:
        """Continue in HTTP/1.1 after an offered upgrade, where httptools stops parsing."""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        if framing := self._framing:
            self._resuming, self._framing = True, b""
            self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)
            self._resuming = False

    def on_message_begin(self) -> None:
        """Start a request."""
        if self._resuming:
            return
        super().on_message_begin()
        if self.phase != HEAD:
            self.phase, self.deadline, self._head = HEAD, self.loop.time() + HEAD_SECONDS, 0
        self._fields = self._raw = self._content = 0

    def on_url(self, url: bytes) -> None:
        """Append a part of the request target."""
        self.url += url
        if len(self.url) > HEAD_BYTES:
            raise _too_large()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Append a header field. Trailer fields are ignored, since they could be mistaken for headers."""
        self._fields += 1
        if self._fields > HEAD_FIELDS:
            raise HeadTooLarge(f"The request has more than {HEAD_FIELDS} header fields")
        if self.phase == HEAD:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Pass the request to the app, or queue it behind earlier pipelined requests."""
        if self._resuming:
            return
        # Once a head, not at each field. What is parsed of it before is a piece and the rest of the one before at most.
        if len(self.url) + sum(map(len, chain.from_iterable(self.headers))) > HEAD_BYTES:
            raise _too_large()
        if len(self.pipeline) >= PIPELINED:
            raise MalformedRequest(f"More than {PIPELINED} requests are pipelined")
        if self.url[:1] != b"/":
            self._use_authority()
        super().on_headers_complete()
        self.phase = BODY
        if self.parser.should_upgrade():
            fields = dict(self.headers)
            framing = ((name, fields.get(name)) for name in (b"transfer-encoding", b"content-length"))
            self._framing = next((b"%b: %b" % (name, value) for name, value in framing if value), b"")
            self.cycle.keep_alive = b"close" not in fields.get(b"connection", b"").lower()
        if self._surplus:
            self.cycle.keep_alive = False

    def _use_authority(self) -> None:
        """Replace the Host field with the authority of an absolute target, as RFC 9112 section 3.2.2 requires."""
        target = httptools.parse_url(self.url)
        if target.host is not None:
            host = b"[%b]" % target.host if b":" in target.host else target.host
            authority = host if target.port is None else b"%b:%d" % (host, target.port)
            self.headers[:] = [field for field in self.headers if field[0] != b"host"] + [(b"host", authority)]

    def on_body(self, body: bytes) -> None:
        """Append a part of the body, or discard it if the response is complete."""
        self._content += len(body)
        if self.cycle.response_complete:
            self._discard(len(body))
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if self._framing:
            return
        super().on_message_complete()
        self.phase, self.deadline = ANSWER, math.inf
        if self.cycle.response_complete:
            self._idle()

    def on_response_complete(self) -> None:
        """Start the next pipelined request, or read on."""
        self.server_state.total_requests += 1
        self.responses.flush()
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self.flow.resume_reading()
        if self.phase == ANSWER:
            self._idle()

    def _idle(self) -> None:
        self.phase, self.deadline = IDLE, self.loop.time() + self.timeout_keep_alive

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > DISCARD_BYTES:
            self.wire.abort()

    def _refuse(self, error: GatewayError) -> None:
        """Send an error response, unless the app has started one, and close the connection."""
        cycle = self.cycle
        if self.phase == HEAD and cycle is not None and not cycle.response_complete:
            # Earlier requests are still in progress; the client would take this response for theirs.
            cycle.keep_alive = False
            self.phase, self.deadline = DISCARD, math.inf
            return
        if self.phase == BODY and (cycle.response_started or self.pipeline):
            self.wire.abort()
            return
        scope: Any = UNKNOWN
        if self.phase == BODY:
            scope = cycle.scope
            cycle.disconnected = True
            cycle.message_event.set()
        self.phase = DISCARD
        answer = refusal(error, scope)
        if request_id := scope.get("state", {}).get("request_id"):
            answer.raw_headers.extend(request_id_headers(scope["path"], request_id))
        self.responses.write(as_bytes(answer))
        self.finish()

    def finish(self) -> None:
        """Close the connection; while the client is still sending, first give it time to read the response.

        Closing a socket with unread input resets the connection, and the client or proxy loses the response.
        """
        self.responses.flush()
        if self.phase not in {BODY, DISCARD} or self.wire.is_closing():
            if self.phase != LINGER:
                self.wire.close()
            return
        self.phase, self.deadline = LINGER, self.loop.time() + DISCARD_SECONDS
        self.flow.resume_reading()
        self.wire.write_eof()

    def shutdown(self) -> None:
        """Close the connection on server shutdown: immediately, or after the current response."""
        if self.cycle is None or self.cycle.response_complete:
            self.wire.close()
        else:
            super().shutdown()

    def check(self, now: float) -> None:
        """Close the connection if a deadline has passed."""
        unread = self.wire.get_write_buffer_size()
        if unread != self._unread:
            self._unread, self._unread_since = unread, now
        elif unread and now - self._unread_since >= ANSWER_SECONDS:
            self.wire.abort()
        if now < self.deadline:
            return
        if self.phase == HEAD and self._head:
            self._refuse(RequestTimeout(f"The request head did not arrive within {HEAD_SECONDS:.0f} s"))
        elif self.phase == BODY and self.flow.read_paused:
            self.deadline = now + BODY_SECONDS
        elif self.phase == BODY:
            self._refuse(RequestTimeout(f"No byte of the request body arrived for {BODY_SECONDS:.0f} s"))
        elif self.phase == LINGER:
            self.wire.abort()
        else:
            self.wire.close()


def _too_large() -> HeadTooLarge:
    return HeadTooLarge(f"The request line and header fields exceed {HEAD_BYTES} bytes")
