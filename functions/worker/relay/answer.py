"""One answer of Claude on its way: held back until its first byte, then passed on as the bytes that came."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from functions.worker.relay.heads import Head

# Bytes that are read of an answer that is no success.
_MOST_OF_ERROR = 65_536


class UpstreamError(Exception):
    """Claude did not answer with HTTP: `args[0]` says in our own words what happened."""


class Sink(Protocol):
    """Takes the bytes of a body."""

    def write(self, data: bytes) -> None:
        """Take the next bytes as they came."""

    @property
    def is_full(self) -> bool:
        """Whether no more should come for now."""
        ...


class Answer:
    """The answer to one request; `abort` closes its connection at once, so that no unread answer is paid for.

    `started` is done when the first byte of a success is there, or all that is read of a failure; it raises
    UpstreamError. `ended` is done at the end of the body, with whether it is whole.
    """

    def __init__(self, abort: Callable[[], None], pause: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self.head = Head()
        self.started: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[bool] = loop.create_future()
        self.abort = abort
        self._pause = pause
        self._raw: list[bytes] = []
        self._body: list[bytes] = []
        self._sink: Sink | None = None
        self._meter: Callable[[bytes], None] = self._body.append
        self._is_between_events: Callable[[], bool] = lambda: False
        # The sink of whole chunks that the meter need not read; None while it has to read every chunk.
        self.unread_to: Sink | None = None
        # The number of times that bytes arrived.
        self.received = 0
        self._size = 0

    @property
    def is_success(self) -> bool:
        """Whether the status is 200."""
        return self.head.status == 200

    @property
    def body(self) -> bytes:
        """The bytes of the body so far, until it is passed on."""
        return b"".join(self._body)

    def data(self, raw: bytes, body: list[bytes]) -> None:
        """Take the next bytes: as they came, and without the framing of chunks."""
        self.received += 1
        for part in body:
            self._meter(part)
            self._size += len(part)
        if self._sink is not None:
            self._sink.write(raw)
            self._look_ahead()
            if self._sink.is_full:
                self._pause()
            return
        self._raw.append(raw)
        if self._size and self.is_success:
            self._start()
        elif self._size > _MOST_OF_ERROR:
            self._start()
            self.abort()

    def end(self, *, whole: bool) -> None:
        """Take the end of the body, or of the connection."""
        if not self.ended.done():
            self.ended.set_result(whole)
        if whole:
            self._start()
        else:
            self.fail("connection lost")

    def fail(self, reason: str) -> None:
        """Take the end of the connection before the first byte."""
        if not self.started.done():
            self.started.set_exception(UpstreamError(reason))
            # Nobody may be waiting any more.
            self.started.exception()
        if not self.ended.done():
            self.ended.set_result(False)

    def pass_to(self, sink: Sink, meter: Callable[[bytes], None], is_between_events: Callable[[], bool]) -> None:
        """Pass on what has come, and all that comes.

        While the meter `is_between_events` of an answer with content, it need not read chunks of nothing but content.
        """
        for part in self._body:
            meter(part)
        sink.write(b"".join(self._raw))
        self._raw, self._body = [], []
        self._sink, self._meter, self._is_between_events = sink, meter, is_between_events
        self._look_ahead()

    def _look_ahead(self) -> None:
        self.unread_to = self._sink if self._is_between_events() else None

    def _start(self) -> None:
        if not self.started.done():
            self.started.set_result(None)
