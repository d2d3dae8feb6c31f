"""A job's events as server-sent events: resumable, bounded where an answer has to end, and without polling."""

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
from shared.api.views import status_of
from shared.configuration.settings import StatusSettings
from shared.store.callers import callers
from shared.store.jobs import events, records
from shared.store.jobs.endings import within
from shared.store.redis.client import async_client
from shared.store.redis.pubsub import subscribed

# A silent stream says so, that nobody on its way takes it for dead; s.
_COMMENT_EVERY = 10.0
# What one look brings at most.
_MOST = 500
# Lambda buffers: its answer ends so soon after the first new event, and after so long without one; s.
_BUFFERED_AFTER, _BUFFERED_MAX = 1.0, 25.0

# A client that reads slowly is still sent what was read so long ago, before its key is checked again; s.
_CHECK_EVERY = 2.0
T = TypeVar("T")

_RETRY = b"retry: 1000\n\n"
COMMENT = b": still here\n\n"


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and the job when the event is its end."""

    event: events.Event
    job: records.StoredJob | None = None


async def follow(job_id: str, after: str | None, caller: str, settings: StatusSettings) -> AsyncIterator[bytes]:
    """Write what `hear` tells of a job after an event, or from its beginning."""
    clock = Clock(settings)
    yield _RETRY
    if after is None:
        clock.note_news()
        yield encode_event("state", '{"state":"waiting","progress":0}', events.FIRST)
    async for told in hear(job_id, after or events.FIRST, caller, settings, clock):
        if told is not None:
            clock.note_news()
        yield COMMENT if told is None else _written(told)


async def hear(
    job_id: str, after: str, caller: str, settings: StatusSettings, clock: "Clock"
) -> AsyncIterator[Told | None]:
    """Tell what happens to a job after an event, until its end or a bound; None after every 10 s of silence.

    What of it is news to a client only the caller knows, who notes that on the clock. A store that goes away ends it:
    who follows asks again. So does the revocation of the caller's key.
    """
    client = async_client(settings.redis_address)
    teller = _Teller(client, job_id, caller, after)
    with subscribed(client, job_id) as subscription:
        await within(clock.next_look(), subscription.ready)
        ended = False
        while not teller.over:
            subscription.changed.clear()
            async for told in teller.tell():
                yield told
            if ended:
                # Whoever asks says to have seen an event that there never was: the end is not after it.
                return
            # What is heard need not be news: the time may be up although something came.
            if not teller.over and not (await within(clock.next_look(), subscription.changed) and clock.has_time):
                if clock.is_over:
                    return
                clock.note_comment()
                yield None
                ended = await teller.look_for_the_job()


class _Teller:
    """Reads a job's events, each once; `over` when nothing follows."""

    def __init__(self, client: redis.asyncio.Redis, job_id: str, caller: str, after: str) -> None:
        self._client, self._job_id, self._caller, self._after = client, job_id, caller, after
        self.over = False
        self._checked = 0.0

    async def _read(self, reading: Awaitable[T]) -> T:
        """Return what is read, unless the caller's key is revoked."""
        found = await callers.checked(self._client, self._caller, reading)
        self._checked = time.monotonic()
        return found

    async def tell(self) -> AsyncIterator[Told]:
        """Yield what is new, to the last."""
        found: list[events.Event] | None = None
        while not self.over and (found is None or len(found) == _MOST):
            try:
                found = await self._read(events.since(self._client, self._job_id, self._after, _MOST))
                for event in found:
                    if time.monotonic() - self._checked > _CHECK_EVERY:
                        await callers.check(self._client, self._caller)
                        self._checked = time.monotonic()
                    self._after = event.id
                    if event.kind != "done":
                        yield Told(event)
                        continue
                    job = await self._read(records.read(self._client, self._job_id, self._caller))
                    # One that an operator has let run anew goes on.
                    self.over = job is None or job.ended
                    if job is not None and job.ended:
                        yield Told(event, job)
            except (RedisError, KeyRevoked):
                self.over = True

    async def look_for_the_job(self) -> bool:
        """Return whether it has ended; over when it has been forgotten, since then nothing will ever be told."""
        try:
            job = await self._read(records.read(self._client, self._job_id, self._caller))
        except (RedisError, KeyRevoked):
            job = None
        self.over = job is None
        return job is not None and job.ended


def _written(told: Told) -> bytes:
    event = told.event
    if told.job is not None:
        return encode_event("done", status_of(told.job).model_dump_json(by_alias=True), event.id)
    if event.kind == "delta":
        return encode_event("delta", json.dumps({"text": event.data}, ensure_ascii=False), event.id)
    return encode_event(event.kind, event.data or "{}", event.id)


class Clock:
    """When an answer ends, and when it has been silent for too long; s of the monotonic clock, inf for never."""

    def __init__(self, settings: StatusSettings) -> None:
        longest, self._after_news = settings.sse_max_seconds or math.inf, math.inf
        if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
            longest, self._after_news = min(longest, _BUFFERED_MAX), _BUFFERED_AFTER
        self._written = time.monotonic()
        self._ends = self._written + longest

    def note_news(self) -> None:
        """Note that the client is told something new: the answer ends so long after the first."""
        self._written = time.monotonic()
        self._ends = min(self._ends, self._written + self._after_news)
        self._after_news = math.inf

    def note_comment(self) -> None:
        """Note that the client is told that there is nothing new."""
        self._written = time.monotonic()

    def next_look(self) -> float:
        """Return when the answer ends or has been silent for too long."""
        return min(self._ends, self._written + _COMMENT_EVERY)

    @property
    def has_time(self) -> bool:
        """Whether that is still to come."""
        return time.monotonic() < self.next_look()

    @property
    def is_over(self) -> bool:
        """Whether the answer ends here."""
        return time.monotonic() >= self._ends
