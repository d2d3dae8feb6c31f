"""A job's events as server-sent events: resumable, bounded where an answer has to end, and without polling."""

import json
import math
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import redis.asyncio
from redis.exceptions import RedisError

from shared.settings import StatusSettings
from shared.store import events, jobs
from shared.store.client import async_client
from shared.store.endings import within
from shared.store.listening import listening
from shared.views import status_of

# A silent stream says so, that nobody on its way takes it for dead; s.
_COMMENT_EVERY = 10.0
# What one look brings at most.
_MOST = 500
# Lambda buffers: its answer ends so soon after the first new event, and after so long without one; s.
_BUFFERED_AFTER, _BUFFERED_MAX = 1.0, 25.0

_RETRY = b"retry: 1000\n\n"
COMMENT = b": still here\n\n"


@dataclass(frozen=True, slots=True)
class Bounds:
    """When an answer ends: after so many s in all, and so many after its first new event; None for never."""

    longest: float | None
    after_news: float | None

    @classmethod
    def of(cls, settings: StatusSettings) -> "Bounds":
        """Return those of this process."""
        if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
            return cls(min(settings.sse_max_seconds or _BUFFERED_MAX, _BUFFERED_MAX), _BUFFERED_AFTER)
        return cls(settings.sse_max_seconds or None, None)


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and the job when the event is its end."""

    event: events.Event
    job: jobs.StoredJob | None = None


async def follow(job_id: str, after: str | None, caller: str, settings: StatusSettings) -> AsyncIterator[bytes]:
    """Write what `hear` tells of a job after an event, or from its beginning."""
    yield _RETRY
    if after is None:
        yield _encode(events.FIRST, "state", '{"state":"waiting","progress":0}')
    async for told in hear(job_id, after or events.FIRST, caller, settings, news=after is None):
        yield COMMENT if told is None else _written(told)


async def hear(
    job_id: str, after: str, caller: str, settings: StatusSettings, *, news: bool
) -> AsyncIterator[Told | None]:
    """Tell what happens to a job after an event, until its end or a bound; None after every 10 s of silence.

    `news` says that whoever asks has been told something already. A store that goes away ends it: who follows asks
    again.
    """
    client = async_client(settings.redis_address)
    clock = _Clock(Bounds.of(settings))
    if news:
        clock.note_news()
    teller = _Teller(client, job_id, caller, after)
    with listening(client, job_id) as ear:
        await within(clock.next_comment(), ear.ready)
        ended = False
        while not teller.over:
            ear.heard.clear()
            async for told in teller.tell():
                clock.note_news()
                yield told
            if ended:
                # Whoever asks says to have seen an event that there never was: the end is not after it.
                return
            if not teller.over and not await within(clock.next_look(), ear.heard):
                if clock.is_over:
                    return
                yield None
                ended = await teller.look_for_the_job()


class _Teller:
    """Reads a job's events, each once; `over` when nothing follows."""

    def __init__(self, client: redis.asyncio.Redis, job_id: str, caller: str, after: str) -> None:
        self._client, self._job_id, self._caller, self._after = client, job_id, caller, after
        self.over = False

    async def tell(self) -> AsyncIterator[Told]:
        """Yield what is new, to the last."""
        found: list[events.Event] | None = None
        while not self.over and (found is None or len(found) == _MOST):
            try:
                found = await events.since(self._client, self._job_id, self._after, _MOST)
                for event in found:
                    self._after = event.id
                    if event.kind != "done":
                        yield Told(event)
                        continue
                    job = await jobs.read(self._client, self._job_id, self._caller)
                    # One that an operator has let run anew goes on.
                    self.over = job is None or job.ended
                    if job is not None and job.ended:
                        yield Told(event, job)
            except RedisError:
                self.over = True

    async def look_for_the_job(self) -> bool:
        """Return whether it has ended; over when it has been forgotten, since then nothing will ever be told."""
        try:
            job = await jobs.read(self._client, self._job_id, self._caller)
        except RedisError:
            job = None
        self.over = job is None
        return job is not None and job.ended


def _written(told: Told) -> bytes:
    event = told.event
    if told.job is not None:
        return _encode(event.id, "done", status_of(told.job).model_dump_json(by_alias=True))
    if event.kind == "delta":
        return _encode(event.id, "delta", json.dumps({"text": event.data}, ensure_ascii=False))
    return _encode(event.id, event.kind, event.data or "{}")


class _Clock:
    """When an answer ends, and when it is silent for too long."""

    def __init__(self, bounds: Bounds) -> None:
        self._after_news = bounds.after_news
        self._ends = math.inf if bounds.longest is None else time.monotonic() + bounds.longest

    def note_news(self) -> None:
        """Let the answer end so long after the first."""
        if self._after_news is not None:
            self._ends = min(self._ends, time.monotonic() + self._after_news)
            self._after_news = None

    def next_comment(self) -> float:
        return time.monotonic() + _COMMENT_EVERY

    def next_look(self) -> float:
        return min(self._ends, self.next_comment())

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._ends


def _encode(event_id: str, kind: str, data: str) -> bytes:
    return f"id: {event_id}\nevent: {kind}\ndata: {data}\n\n".encode()
