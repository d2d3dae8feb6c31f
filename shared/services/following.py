"""Follow a job's events as server-sent events: resumable, bounded where a response must end, and without polling."""

import json
import math
import os
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import TypeVar

import redis.asyncio
from redis.exceptions import RedisError

from shared.api.errors import KeyRevoked
from shared.api.event_stream import encode_event
from shared.api.views import pending_of, status_of
from shared.configuration.settings import StatusSettings
from shared.store.callers import callers
from shared.store.jobs import events, records
from shared.store.jobs.endings import within
from shared.store.redis.client import async_client
from shared.store.redis.pubsub import subscribed

# Seconds of silence after which a comment is written, so that proxies keep the connection open.
_COMMENT_EVERY = 10.0
# Events that one read returns at most.
_PAGE = 500
# Lambda buffers the response: it ends this long after the first new event, or after this long without one; s.
_BUFFERED_AFTER, _BUFFERED_MAX = 1.0, 25.0

# Events read longer ago are not sent before the caller's key is checked again, however slowly the client reads; s.
_CHECK_EVERY = 2.0
T = TypeVar("T")

_RETRY = b"retry: 1000\n\n"
COMMENT = b": still here\n\n"


@dataclass(frozen=True, slots=True)
class Update:
    """An event, and the job if the event is its end."""

    event: events.Event
    job: records.StoredJob | None = None


async def follow(job_id: str, after: str | None, caller: str, settings: StatusSettings) -> AsyncIterator[bytes]:
    """Write a job's events after an event, or from its first."""
    clock = Clock(settings)
    yield _RETRY
    if after is None:
        clock.note_event()
        yield encode_event("state", '{"state":"waiting","progress":0}', events.FIRST)
    async for update in subscribe(job_id, after or events.FIRST, caller, settings, clock):
        if update is not None:
            clock.note_event()
        yield COMMENT if update is None else _encode(update)


async def subscribe(
    job_id: str, after: str, caller: str, settings: StatusSettings, clock: "Clock"
) -> AsyncIterator[Update | None]:
    """Yield a job's events after an event, until its end or a time limit; None after every 10 s of silence.

    The consumer decides which events it writes to the client, and notes each on the clock. An unavailable store ends
    the stream, and the client reconnects. The revocation of the caller's key ends it too.
    """
    client = async_client(settings.redis_address)
    reader = _Reader(client, job_id, caller, after)
    with subscribed(client, job_id) as subscription:
        await within(clock.next_deadline(), subscription.ready)
        ended = False
        while not reader.over:
            subscription.changed.clear()
            async for update in reader.read_new():
                yield update
            if ended:
                # The client claims to have seen an event that never existed, so the end is not after it.
                return
            # A notification may arrive although the time is up.
            if not reader.over and not (await within(clock.next_deadline(), subscription.changed) and clock.has_time):
                if clock.is_over:
                    return
                clock.note_comment()
                yield None
                ended = await reader.read_job()


class _Reader:
    """Reads a job's events, each once; `over` when nothing follows."""

    def __init__(self, client: redis.asyncio.Redis, job_id: str, caller: str, after: str) -> None:
        self._client, self._job_id, self._caller, self._after = client, job_id, caller, after
        self.over = False
        self._checked = 0.0

    async def _read(self, reading: Awaitable[T]) -> T:
        """Return the result of a read; raises KeyRevoked if the caller's key is revoked."""
        found = await callers.checked(self._client, self._caller, reading)
        self._checked = time.monotonic()
        return found

    async def read_new(self) -> AsyncIterator[Update]:
        """Yield all new events."""
        found: list[events.Event] | None = None
        while not self.over and (found is None or len(found) == _PAGE):
            try:
                found = await self._read(events.since(self._client, self._job_id, self._after, _PAGE))
                for event in found:
                    if time.monotonic() - self._checked > _CHECK_EVERY:
                        await callers.check(self._client, self._caller)
                        self._checked = time.monotonic()
                    self._after = event.id
                    if event.kind != "done":
                        yield Update(event)
                        continue
                    job = await self._read(records.read(self._client, self._job_id, self._caller))
                    # A job that an operator has retried continues after `done`.
                    self.over = job is None or job.ended
                    if job is not None and job.ended:
                        yield Update(event, job)
            except (RedisError, KeyRevoked):
                self.over = True

    async def read_job(self) -> bool:
        """Return whether the job has ended. A deleted job is over, because no event will follow."""
        try:
            job = await self._read(records.read(self._client, self._job_id, self._caller))
        except (RedisError, KeyRevoked):
            job = None
        self.over = job is None
        return job is not None and job.ended


def _encode(update: Update) -> bytes:
    event = update.event
    if update.job is not None:
        return encode_event("done", status_of(update.job).model_dump_json(by_alias=True), event.id)
    if event.kind == "delta":
        return encode_event("delta", json.dumps({"text": event.data}, ensure_ascii=False), event.id)
    if event.kind == "action_required":
        return encode_event(event.kind, json.dumps(pending_of(json.loads(event.data)), ensure_ascii=False), event.id)
    return encode_event(event.kind, event.data or "{}", event.id)


class Clock:
    """The deadlines of a response: for its end, and for its next output; s of the monotonic clock, inf for never."""

    def __init__(self, settings: StatusSettings) -> None:
        longest, self._after_event = settings.sse_max_seconds or math.inf, math.inf
        if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
            longest, self._after_event = min(longest, _BUFFERED_MAX), _BUFFERED_AFTER
        self._written = time.monotonic()
        self._ends = self._written + longest

    def note_event(self) -> None:
        """Note that an event was written; a buffered response ends a fixed time after its first."""
        self._written = time.monotonic()
        self._ends = min(self._ends, self._written + self._after_event)
        self._after_event = math.inf

    def note_comment(self) -> None:
        """Note that a comment was written."""
        self._written = time.monotonic()

    def next_deadline(self) -> float:
        """Return when the response must end, or when it has been silent for too long."""
        return min(self._ends, self._written + _COMMENT_EVERY)

    @property
    def has_time(self) -> bool:
        """Whether the next deadline is in the future."""
        return time.monotonic() < self.next_deadline()

    @property
    def is_over(self) -> bool:
        """Whether the response must end."""
        return time.monotonic() >= self._ends
