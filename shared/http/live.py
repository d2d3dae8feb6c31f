"""Responses that wait for a job's answer on the connection of the client: whole, or streamed as it is written."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from shared.api.errors import AnswerFailed, GatewayError
from shared.configuration.settings import StatusSettings
from shared.http.answers import UNBUFFERED
from shared.services.following import Clock, Update
from shared.services.live import LiveJob
from shared.store.jobs.records import StoredJob

T = TypeVar("T")


class Writer(Protocol):
    """Writes a streamed answer in the form of one API."""

    def begin(self) -> bytes:
        """Write what precedes the text."""

    def add(self, text: str) -> bytes:
        """Write the next piece of text."""

    def step(self, data: str) -> bytes:
        """Write a step, JSON, that has begun or ended; nothing if the API has no form for it."""

    def restart(self) -> bytes | None:
        """Write that the text so far is void; None if the API cannot express that."""

    def end(self, job: StoredJob, rest: str) -> bytes:
        """Write the rest of the text and the end of a completed job."""

    def fail(self, error: GatewayError) -> bytes:
        """Write the error that ends the stream."""

    def keep_alive(self) -> bytes:
        """Write something that the client ignores."""


async def whole(request: Request, live: LiveJob) -> StoredJob:
    """Return the completed job; raises its failure, or ClientDisconnect when the client leaves first."""
    try:
        return await _while_connected(request, live.end())
    finally:
        await live.leave()


async def streamed(
    request: Request, live: LiveJob, writer: Writer, settings: StatusSettings, *, streams_text: bool
) -> Response:
    """Return the response that streams an answer; raises a failure that precedes the first text.

    The response begins with the first text, with the end of the job, or after 10 s.
    """
    stream = _Stream(live, writer, settings, streams_text=streams_text)
    try:
        first = await _while_connected(request, stream.first())
    except BaseException:
        await live.leave()
        raise
    return _LiveResponse(live, stream.rest(first), {**live.headers, **UNBUFFERED})


async def _while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of the work; raises ClientDisconnect when the client leaves before it."""
    working: asyncio.Task[T] = asyncio.ensure_future(work)
    # The body has been read: the next message is the end of the connection.
    leaving = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.wait({working, leaving})


class _LiveResponse(StreamingResponse):
    """A stream of a job that is cancelled if the client leaves before the end."""

    def __init__(self, live: LiveJob, content: AsyncIterator[bytes], headers: dict[str, str]) -> None:
        super().__init__(content, headers=headers, media_type="text/event-stream")
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._live.leave()


class _Stream:
    """The events of a job as one streamed answer."""

    def __init__(self, live: LiveJob, writer: Writer, settings: StatusSettings, *, streams_text: bool) -> None:
        self._live, self._writer = live, writer
        # With a schema, the model may write text that is not part of the answer and that a client would parse as JSON.
        self._streams_text = streams_text
        self._clock = Clock(settings)
        self._updates = live.updates(settings, self._clock)
        self._text, self._has_steps = "", False

    async def first(self) -> bytes:
        """Return the first bytes of the response; raises the failure of a job that fails before."""
        begun = self._writer.begin()
        while True:
            if written := self._next(await anext(self._updates, self._interruption)):
                return begun + written

    async def rest(self, first: bytes) -> AsyncIterator[bytes]:
        """Yield the bytes of the response from the first on."""
        self._clock.note_event()
        yield first
        try:
            while not self._live.over:
                if written := self._next(await anext(self._updates, self._interruption)):
                    self._clock.note_event()
                    yield written
        except GatewayError as error:
            yield self._writer.fail(error)

    def _next(self, update: Update | Callable[[], GatewayError] | None) -> bytes:
        match update:
            case None:
                return self._writer.keep_alive()
            case Update(job=None):
                return self._write(update)
            case Update(job=job):
                return self._end(self._live.completed(job))
            case _:
                raise update()

    def _write(self, update: Update) -> bytes:
        match update.event.kind:
            case "delta" if self._streams_text:
                self._text += update.event.data
                return self._writer.add(update.event.data)
            case "step":
                written = self._writer.step(update.event.data)
                self._has_steps |= bool(written)
                return written
            case "reset" if self._text or self._has_steps:
                void = self._writer.restart()
                if void is None:
                    raise AnswerFailed("The answer was cut after its first words", retryable=True)
                self._text = ""
                return void
            case _:
                return b""

    def _end(self, job: StoredJob) -> bytes:
        answer = (job.result or {})["response"]
        # The answer is the text of the last turn; the text of earlier turns may have been written before it.
        if answer in self._text:
            return self._writer.end(job, "")
        if answer.startswith(self._text):
            return self._writer.end(job, answer[len(self._text) :])
        raise AnswerFailed("A part of the answer was lost on its way", retryable=True)

    def _interruption(self) -> GatewayError:
        if self._clock.is_over:
            return AnswerFailed("The response reached SSE_MAX_SECONDS before the end of the answer", "timeout")
        return AnswerFailed("The gateway lost its store, the job or the caller's key", retryable=True)
