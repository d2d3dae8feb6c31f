"""A job's events as those of OpenAI's streams, each with a number that is the same whenever it is told."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from functions.openai import views
from shared.api.event_stream import encode_event
from shared.configuration.settings import StatusSettings
from shared.services.following import COMMENT, Clock, Told, hear
from shared.store.jobs import events
from shared.store.jobs.records import StoredJob

_ENDS = {"completed": "response.completed", "failed": "response.failed"}


class Translation:
    """Turns what is told of a job, from its beginning, into events; told the same, it writes the same.

    Those up to the number `after` are counted, and not written.
    """

    def __init__(self, job_id: str, first: dict[str, Any], after: int = -1) -> None:
        """Begin; `first` is the response as it was accepted."""
        self._job_id, self._first, self._after = job_id, first, after
        self._number, self._item, self._text, self._open = 0, 0, "", False
        self._status = first["status"]
        # What the model says beside an answer under a schema is not of it, and a client would read it as JSON.
        self._told_in_pieces = first["text"]["format"]["type"] == "text"
        self._due: list[bytes] = []

    def begin(self) -> list[bytes]:
        """Write what comes before anything has happened."""
        self._tell("response.created", response=self._first)
        self._tell("response.queued", response=self._first)
        return self._written()

    def fail(self, code: str, message: str) -> list[bytes]:
        """Write that the stream cannot go on."""
        self._tell("error", code=code, message=message, param=None)
        return self._written()

    def take(self, told: Told, ended: dict[str, Any] | None) -> list[bytes]:
        """Write an event; `ended` is the response when it is the end."""
        if ended is not None and told.job is not None:
            self._end(told.job, ended)
        elif told.event.kind == "delta" and self._told_in_pieces:
            self._delta(told.event.data)
        elif told.event.kind == "reset":
            self._close("incomplete")
        elif told.event.kind == "state":
            self._change(views.STATUSES.get(json.loads(told.event.data)["state"]))
        return self._written()

    def _change(self, status: str | None) -> None:
        # Told at each rise of progress too, and at an end, which has an event of its own.
        if status not in {None, self._status}:
            self._status = status
            self._tell(f"response.{status}", response={**self._first, "status": status})

    def _end(self, job: StoredJob, ended: dict[str, Any]) -> None:
        if job.result is not None:
            answer = job.result["response"]
            # The answer is the last turn's, and text may have been told of turns before it; of a stream that has lost
            # its beginning, the whole has yet to be told, as of one under a schema.
            if not self._text.endswith(answer):
                self._close("incomplete")
            self._begin_item()
            if answer and not self._text:
                self._delta(answer)
        self._close("completed" if job.result is not None else "incomplete")
        # That API has no event for what was cancelled; the last that it knows says so by its status.
        self._tell(_ENDS.get(ended["status"], "response.incomplete"), response=ended)

    def _begin_item(self) -> None:
        if not self._open:
            self._open = True
            item = views.message(self._job_id, self._item, "", "in_progress")
            self._tell("response.output_item.added", output_index=self._item, item=item)
            self._tell("response.content_part.added", **self._place(), part=views.part(""))

    def _delta(self, text: str) -> None:
        self._begin_item()
        self._text += text
        self._tell("response.output_text.delta", **self._place(), delta=text, logprobs=[])

    def _close(self, status: str) -> None:
        if self._open:
            item = views.message(self._job_id, self._item, self._text, status)
            self._tell("response.output_text.done", **self._place(), text=self._text, logprobs=[])
            self._tell("response.content_part.done", **self._place(), part=views.part(self._text))
            self._tell("response.output_item.done", output_index=self._item, item=item)
            # A text that is begun anew is another item.
            self._open, self._text, self._item = False, "", self._item + 1

    def _place(self) -> dict[str, Any]:
        return {"item_id": views.item_id(self._job_id, self._item), "output_index": self._item, "content_index": 0}

    def _tell(self, kind: str, **fields: Any) -> None:
        if self._number > self._after:
            body = {"type": kind, "sequence_number": self._number, **fields}
            self._due.append(encode_event(kind, json.dumps(body, ensure_ascii=False)))
        self._number += 1

    def _written(self) -> list[bytes]:
        due, self._due = self._due, []
        return due


async def stream(
    job: StoredJob, request: dict[str, Any], after: int, *, caller: str, model: str | None, settings: StatusSettings
) -> AsyncIterator[bytes]:
    """Write a response's events after one, to its end or to the bound of an answer.

    All are counted from the beginning, so that a number means the same in each answer.
    """
    # As it was accepted, whenever it is told.
    record = {**job.record, "state": "waiting"}
    record.pop("error", None)
    first = views.response_of(replace(job, record=record, result=None), request, model=model)
    translation, clock = Translation(job.job_id, first, after), Clock(settings)
    for written in translation.begin():
        clock.note_news()
        yield written
    async for told in hear(job.job_id, events.FIRST, caller, settings, clock):
        if told is None:
            yield COMMENT
            continue
        ended = None if told.job is None else views.response_of(told.job, request, model=model)
        for written in translation.take(told, ended):
            clock.note_news()
            yield written


async def forgotten(job: StoredJob, request: dict[str, Any], model: str | None) -> AsyncIterator[bytes]:
    """Write the events of a response that was accepted and has been forgotten: its beginning, and an error."""
    translation = Translation(job.job_id, views.response_of(job, request, model=model))
    for written in translation.begin():
        yield written
    message = "The response has been forgotten: its result is kept for RESULT_TTL after its end"
    for written in translation.fail("not_found", message):
        yield written
