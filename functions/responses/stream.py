"""A job's events as those of OpenAI's streams, each with a number that is the same whenever it is told."""

import json
from collections.abc import AsyncIterator
from typing import Any

from functions.responses import views
from shared.services.following import Told, hear
from shared.settings import StatusSettings
from shared.store import events
from shared.store.jobs import StoredJob

_COMMENT = b": still here\n\n"
_ENDS = {"completed": "response.completed", "failed": "response.failed"}


class Translation:
    """Turns what is told of a job, from its beginning, into events; told the same, it writes the same."""

    def __init__(self, job_id: str, first: dict[str, Any]) -> None:
        """Begin; `first` is the response as it was accepted."""
        self._job_id, self._first = job_id, first
        self._number, self._item, self._text, self._open = 0, 0, "", False
        self._status = first["status"]

    def begin(self) -> list[bytes]:
        """Write what comes before anything has happened."""
        return [
            self._event("response.created", response=self._first),
            self._event("response.queued", response=self._first),
        ]

    def take(self, told: Told, ended: dict[str, Any] | None) -> list[bytes]:
        """Write an event; `ended` is the response when it is the end."""
        if ended is not None and told.job is not None:
            return self._end(told.job, ended)
        match told.event.kind:
            case "delta":
                return [*self._opened(), self._delta(told.event.data)]
            case "reset":
                return self._closed("incomplete")
            case "state":
                return self._state(views.STATUSES.get(json.loads(told.event.data)["state"]))
            case _:
                return []

    def _state(self, status: str | None) -> list[bytes]:
        # Told at each rise of progress too, and at an end, which has an event of its own.
        if status in {None, self._status}:
            return []
        self._status = status
        return [self._event(f"response.{status}", response={**self._first, "status": status})]

    def _end(self, job: StoredJob, ended: dict[str, Any]) -> list[bytes]:
        written: list[bytes] = []
        if job.result is not None:
            answer = job.result["response"]
            # The answer is the last turn's, and text may have been told of turns before it; of one under a schema, or
            # of a stream that has lost its beginning, the whole has yet to be told.
            if not self._text.endswith(answer):
                written += self._closed("incomplete")
            written += self._opened()
            if answer and not self._text:
                written += [self._delta(answer)]
        written += self._closed("completed" if job.result is not None else "incomplete")
        kind = _ENDS.get(ended["status"])
        # That API has no event for what was cancelled; the last that it knows says so by its status.
        return [*written, self._event(kind or "response.incomplete", response=ended)]

    def _opened(self) -> list[bytes]:
        if self._open:
            return []
        self._open = True
        item = views.message(self._job_id, self._item, "", "in_progress")
        return [
            self._event("response.output_item.added", output_index=self._item, item=item),
            self._event("response.content_part.added", **self._place(), part=views.part("")),
        ]

    def _delta(self, text: str) -> bytes:
        self._text += text
        return self._event("response.output_text.delta", **self._place(), delta=text, logprobs=[])

    def _closed(self, status: str) -> list[bytes]:
        if not self._open:
            return []
        item = views.message(self._job_id, self._item, self._text, status)
        written = [
            self._event("response.output_text.done", **self._place(), text=self._text, logprobs=[]),
            self._event("response.content_part.done", **self._place(), part=views.part(self._text)),
            self._event("response.output_item.done", output_index=self._item, item=item),
        ]
        # A text that is begun anew is another item.
        self._open, self._text, self._item = False, "", self._item + 1
        return written

    def _place(self) -> dict[str, Any]:
        return {"item_id": views.item_id(self._job_id, self._item), "output_index": self._item, "content_index": 0}

    def _event(self, kind: str, **fields: Any) -> bytes:
        body = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return f"event: {kind}\ndata: {json.dumps(body, ensure_ascii=False)}\n\n".encode()


async def stream(
    job: StoredJob, request: dict[str, Any], after: int, *, caller: str, model: str | None, settings: StatusSettings
) -> AsyncIterator[bytes]:
    """Write a response's events after one, to its end or to the bound of an answer.

    All are counted from the beginning, so that a number means the same in each answer.
    """
    # As it was accepted, whenever it is told.
    accepted: dict[str, Any] = {"status": "queued", "output": [], "usage": None, "error": None}
    accepted["model"] = request.get("model") or model or "default"
    first = {**views.response_of(job, request, model=model), **accepted}
    translation = Translation(job.job_id, first)
    number = 0
    for written in translation.begin():
        if number > after:
            yield written
        number += 1
    async for told in hear(job.job_id, events.FIRST, caller, settings, news=after < 0):
        if told is None:
            yield _COMMENT
            continue
        ended = None if told.job is None else views.response_of(told.job, request, model=model)
        for written in translation.take(told, ended):
            if number > after:
                yield written
            number += 1
