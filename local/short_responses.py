"""Writes a response of known length, as nearly all are, with less than half of the work that uvicorn has with any."""

from typing import TYPE_CHECKING

from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

# Fields that decide how the connection goes on.
_OF_CONNECTION = frozenset({b"connection", b"transfer-encoding"})
# What no field may have: a value with the end of a line would add fields, or a body.
_CONTROLS = bytes({*range(32), 127} - {ord("\t")})


class Cycle(RequestResponseCycle):
    """A request and its response. Whatever is unusual, an error too, is left to uvicorn."""

    async def send(self, message: "ASGISendEvent") -> None:
        """Send the head or the body of the response."""
        if self.keep_alive and not (self.disconnected or self.flow.write_paused) and self.scope["method"] != "HEAD":
            sent = self._end(message) if self.response_started else self._start(message)
            if sent:
                return
        await super().send(message)

    def _start(self, message: "ASGISendEvent") -> bool:
        if message["type"] != "http.response.start":
            return False
        fields = [*self.default_headers, *message.get("headers", ())]
        by_name = dict(fields)
        length = by_name.get(b"content-length", b"")
        if not length.isdigit() or not all(map(bytes.islower, by_name)) or not _OF_CONNECTION.isdisjoint(by_name):
            return False
        head = STATUS_LINE[message["status"]] + b"\r\n".join(map(b": ".join, fields)) + b"\r\n\r\n"
        # Each line has the two of its end.
        if len(head) - len(head.translate(None, _CONTROLS)) != 2 * (len(fields) + 2):
            return False
        self.response_started, self.waiting_for_100_continue = True, False
        self.chunked_encoding, self.expected_content_length = False, int(length)
        self.transport.write(head)
        return True

    def _end(self, message: "ASGISendEvent") -> bool:
        if message["type"] != "http.response.body" or self.response_complete:
            return False
        body = message.get("body", b"")
        if message.get("more_body") or self.chunked_encoding or len(body) != self.expected_content_length:
            return False
        self.transport.write(body)
        self.expected_content_length, self.response_complete = 0, True
        self.message_event.set()
        self.on_response()
        return True


# Where a method of the protocol finds the class. An object whose class is changed afterwards is slow from then on.
httptools_impl.RequestResponseCycle = Cycle  # type: ignore[misc]


class ShortResponses(HttpToolsProtocol):
    """One connection whose responses are of the class above."""
