"""The steps of a job: what its runs publish, the page of a list, and messages to a running job."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import redis.asyncio
from pydantic_core import from_json

from shared.store import keys
from shared.store.jobs.records import StoredJob
from shared.store.redis import clock, scripts
from shared.store.redis.pipelining import get


class Entry(NamedTuple):
    """What a run publishes: `delta` with text, `step` or `end` with the JSON of a step, `count` with a number.

    A `step` begins, and an `end` changes the step of that id. `count` is for steps that are not kept.
    """

    kind: Literal["delta", "step", "end", "count"]
    step: str
    data: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message to a running job, and its step as JSON, which has the same id."""

    message_id: str
    step: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """The job, its steps from a place on, and the place of the last one; None when no step follows."""

    job: StoredJob
    steps: list[dict[str, Any]]
    end: int | None


async def page(client: redis.asyncio.Redis, job_id: str, caller: str | None, *, after: int, limit: int) -> Page | None:
    """Read the steps of one of a caller's jobs, or of any job when the caller is None; None when there is no such job.

    One round trip.
    """
    # One more than the page holds shows whether there is a next page.
    numbers = range(after + 1, after + limit + 2)
    record, found, time = await get(
        client, ("HGETALL", keys.job(job_id)), ("HMGET", f"{keys.job(job_id)}:steps", *numbers), clock.TIME
    )
    job = StoredJob(job_id, record, None, None)
    if not job.is_of(caller, clock.milliseconds(time)):
        return None
    steps = [from_json(text) for text in found if text is not None]
    return Page(job, steps[:limit], after + limit if len(steps) > limit else None)


async def send_message(
    client: redis.asyncio.Redis, job_id: str, caller: str, message: Message, most: int
) -> Literal["sent", "missing", "not_running", "full"]:
    """Send a message to one of a caller's running jobs, unless it has `most`."""
    answer: Literal["sent", "missing", "not_running", "full"] = await scripts.run(
        client, "send_message", job_id=job_id, caller=caller, message=message.message_id, step=message.step,
        text=message.text, most=most,
    )  # fmt: skip
    return answer
