"""The steps of a job, and messages to a running one."""

import time

from shared.api.errors import FieldError, InvalidRequest, NotFound, NotRunning, TooManyMessages
from shared.api.ids import is_id, new_id
from shared.api.pages import fitting, json_bytes
from shared.api.steps import (
    MAX_MESSAGE_BYTES,
    MOST_MESSAGES,
    MessageAccepted,
    Step,
    StepPage,
    as_json,
    for_step,
)
from shared.api.times import rfc3339
from shared.configuration.settings import CommonSettings
from shared.store.jobs import steps
from shared.store.redis.client import async_client

STEP_CURSOR = "^[0-9]{1,4}$"


async def step_page(
    job_id: str, limit: int, cursor: str | None, *, caller: str | None, settings: CommonSettings
) -> StepPage:
    """List the steps of one of a caller's jobs, or of any job when the caller is None; raises NotFound."""
    after = 0 if cursor is None else int(cursor)
    client = async_client(settings.redis_address)
    found = await steps.page(client, job_id, caller, after=after, limit=limit) if is_id(job_id) else None
    if found is None:
        raise NotFound("Job not found")
    every = [Step.model_validate(one) for one in found.steps]
    if found.job.ended:
        # A run that was lost, and a message that came too late for it, have written no end.
        every = [one.model_copy(update={"status": "failed"}) if one.status == "started" else one for one in every]
    page = fitting(every, json_bytes)
    end = after + len(page) if len(page) < len(every) else found.end
    return StepPage(steps=page, next_cursor=None if end is None else str(end))


async def send_message(job_id: str, text: str, *, caller: str, settings: CommonSettings) -> MessageAccepted:
    """Send a message to one of the caller's running jobs, in one round trip.

    Raises NotFound, NotRunning, TooManyMessages, or InvalidRequest for a text that is too long.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_MESSAGE_BYTES:
        message = f"should have at most {MAX_MESSAGE_BYTES} bytes of UTF-8"
        raise InvalidRequest(f"text: {message}", errors=(FieldError("/text", message),))
    message_id = new_id()
    given, is_cut = for_step(text)
    step = Step(
        id=message_id,
        parent_id=None,
        kind="message",
        tool=None,
        input={"text": given},
        status="started",
        output=None,
        started_at=rfc3339(int(time.time() * 1000)),
        duration_ms=None,
        truncated=is_cut,
    )
    sent = "missing"
    if is_id(job_id):
        client = async_client(settings.redis_address)
        sent = await steps.send_message(
            client, job_id, caller, steps.Message(message_id, as_json(step), text), MOST_MESSAGES
        )
    if sent == "missing":
        raise NotFound("Job not found")
    if sent == "not_running":
        raise NotRunning("The job does not run: it waits, or it has ended. Only a running job takes messages")
    if sent == "full":
        raise TooManyMessages(f"The job has {MOST_MESSAGES} messages, which is the limit")
    return MessageAccepted(job_id=job_id, message_id=message_id)
