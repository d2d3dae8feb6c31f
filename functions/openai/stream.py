"""Translate a job's events into OpenAI's stream events. An event has the same number in every stream of a response."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from functions.openai import mcp_calls, views
from functions.openai.tools import calls_of
from shared.api.event_stream import encode_event
from shared.configuration.settings import StatusSettings
from shared.services.following import COMMENT, Clock, Update, subscribe
from shared.store.jobs import events
from shared.store.jobs.records import StoredJob

_TERMINAL_EVENTS = {"completed": "response.completed", "failed": "response.failed"}


class Translation:
    """Translates the updates of a job, from its first, into events; the same updates give the same events.

    Events up to the number `after` are counted but not written.
    """

    def __init__(self, job_id: str, first: dict[str, Any], after: int = -1) -> None:
        """Begin; `first` is the response in the state in which it was accepted."""
        self._job_id, self._first, self._after = job_id, first, after
        self._number, self._item, self._text, self._open = 0, 0, "", False
        self._status = first["status"]
        # With a schema, the model may write text that is not part of the answer and that a client would parse as JSON.
        self._streams_text = first["text"]["format"]["type"] == "text"
        self._written: list[bytes] = []
        self._functions = {tool["name"] for tool in first.get("tools", ())}
        # Steps as they were published last, by their ids, and the places of those that are items.
        self._steps: dict[str, dict[str, Any]] = {}
        self._calls: dict[str, tuple[int, dict[str, Any]]] = {}

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The first steps of the job so far."""
        return list(self._steps.values())

    def begin(self) -> list[bytes]:
        """Write the events that precede the first update."""
        self._write("response.created", response=self._first)
        self._write(f"response.{self._status}", response=self._first)
        return self._take_written()

    def fail(self, code: str, message: str) -> list[bytes]:
        """Write the error that ends the stream."""
        self._write("error", code=code, message=message, param=None)
        return self._take_written()

    def translate(self, update: Update, ended: dict[str, Any] | None) -> list[bytes]:
        """Write the events of an update; `ended` is the response if the update is the last."""
        if ended is not None and update.job is not None:
            return self.end(update.job, ended)
        if update.event.kind == "delta" and self._streams_text:
            return self.add(update.event.data)
        if update.event.kind == "step":
            return self.step(update.event.data)
        if update.event.kind == "reset":
            return self.restart()
        if update.event.kind == "state":
            self._change(views.STATUSES.get(json.loads(update.event.data)["state"]))
        return self._take_written()

    def add(self, text: str) -> list[bytes]:
        """Write the next piece of text."""
        self._delta(text)
        return self._take_written()

    def step(self, data: str) -> list[bytes]:
        """Write a call of an MCP server that has begun or ended. Text after it is another item."""
        step = json.loads(data)
        name, is_new = step["id"], step["id"] not in self._steps
        if is_new and len(self._steps) == mcp_calls.MOST_STEPS:
            return []
        self._steps[name] = step
        if is_new and mcp_calls.is_call(step, self._functions):
            self._begin_call(step)
        if name in self._calls and step["status"] != "started":
            self._end_call(step)
        return self._take_written()

    def restart(self) -> list[bytes]:
        """Write that the text so far is void: text after it is another item."""
        self._close("incomplete")
        self._lose_calls()
        return self._take_written()

    def end(self, job: StoredJob, ended: dict[str, Any]) -> list[bytes]:
        """Write the rest of an ended job; `ended` is its response."""
        self._end(job, ended)
        return self._take_written()

    def end_with(self, error: dict[str, str]) -> list[bytes]:
        """Write that the response failed."""
        self._close("incomplete")
        self._lose_calls()
        self._write("response.failed", response={**self._first, "status": "failed", "error": error})
        return self._take_written()

    def _change(self, status: str | None) -> None:
        # A state event is also published when progress rises, and at the end, which has an event of its own.
        if status not in {None, self._status}:
            self._status = status
            self._write(f"response.{status}", response={**self._first, "status": status})

    def _end(self, job: StoredJob, ended: dict[str, Any]) -> None:
        self._lose_calls()
        if job.result is not None:
            answer = job.result["response"]
            # The answer is the text of the last turn. Text of earlier turns may have been written; with a schema, or if
            # the stream lost its first events, the answer has not been written.
            if not self._text.endswith(answer):
                self._close("incomplete")
            if answer or not calls_of(job.result):
                self._begin_item()
            if answer and not self._text:
                self._delta(answer)
        is_whole = job.result is not None and ended["status"] == "completed"
        self._close("completed" if is_whole else "incomplete")
        for number, call in enumerate(calls_of(job.result or {})):
            self._call(number, call)
        # OpenAI's API has no event for a cancelled response; `incomplete` carries the status.
        self._write(_TERMINAL_EVENTS.get(ended["status"], "response.incomplete"), response=ended)

    def _call(self, number: int, call: dict[str, str]) -> None:
        """Write a call of a function, whose arguments are one delta."""
        whole = views.call_item(self._job_id, number, call)
        place = {"item_id": whole["id"], "output_index": self._item}
        begun = views.call_item(self._job_id, number, call, "in_progress")
        arguments = call["arguments"]
        self._write("response.output_item.added", output_index=self._item, item=begun)
        self._write("response.function_call_arguments.delta", **place, delta=arguments)
        self._write("response.function_call_arguments.done", **place, name=call["name"], arguments=arguments)
        self._write("response.output_item.done", output_index=self._item, item=whole)
        self._item += 1

    def _begin_call(self, step: dict[str, Any]) -> None:
        self._close("completed")
        number = sum(mcp_calls.is_call(one, self._functions) for one in self._steps.values()) - 1
        begun = {**mcp_calls.item(self._job_id, number, {**step, "status": "started"}), "arguments": ""}
        place = {"item_id": begun["id"], "output_index": self._item}
        self._write("response.output_item.added", output_index=self._item, item=begun)
        self._write("response.mcp_call.in_progress", **place)
        self._write("response.mcp_call_arguments.done", **place, arguments=mcp_calls.arguments(step))
        self._calls[step["id"]] = number, place
        self._item += 1

    def _end_call(self, step: dict[str, Any]) -> None:
        number, place = self._calls.pop(step["id"])
        item = mcp_calls.item(self._job_id, number, step)
        self._write(f"response.mcp_call.{item['status']}", **place)
        self._write("response.output_item.done", output_index=place["output_index"], item=item)

    def _lose_calls(self) -> None:
        for name in list(self._calls):
            self._end_call(mcp_calls.lost(self._steps[name]))

    def _begin_item(self) -> None:
        if not self._open:
            self._open = True
            item = views.message(self._job_id, self._item, "", "in_progress")
            self._write("response.output_item.added", output_index=self._item, item=item)
            self._write("response.content_part.added", **self._place(), part=views.part(""))

    def _delta(self, text: str) -> None:
        self._begin_item()
        self._text += text
        self._write("response.output_text.delta", **self._place(), delta=text, logprobs=[])

    def _close(self, status: str) -> None:
        if self._open:
            item = views.message(self._job_id, self._item, self._text, status)
            self._write("response.output_text.done", **self._place(), text=self._text, logprobs=[])
            self._write("response.content_part.done", **self._place(), part=views.part(self._text))
            self._write("response.output_item.done", output_index=self._item, item=item)
            # Text after a reset is another item.
            self._open, self._text, self._item = False, "", self._item + 1

    def _place(self) -> dict[str, Any]:
        return {"item_id": views.item_id(self._job_id, self._item), "output_index": self._item, "content_index": 0}

    def _write(self, kind: str, **fields: Any) -> None:
        if self._number > self._after:
            body = {"type": kind, "sequence_number": self._number, **fields}
            self._written.append(encode_event(kind, json.dumps(body, ensure_ascii=False)))
        self._number += 1

    def _take_written(self) -> list[bytes]:
        written, self._written = self._written, []
        return written


async def stream(
    job: StoredJob, request: dict[str, Any], after: int, *, caller: str, model: str | None, settings: StatusSettings
) -> AsyncIterator[bytes]:
    """Write a response's events after a number, to the last one or to the time limit of an HTTP response.

    The numbers count from the first event, so they are the same in every stream.
    """
    # The state in which it was accepted, whatever its state is now.
    record = {**job.record, "state": "waiting"}
    record.pop("error", None)
    first = views.response_of(replace(job, record=record, result=None), request, model=model)
    translation, clock = Translation(job.job_id, first, after), Clock(settings)
    for written in translation.begin():
        clock.note_event()
        yield written
    async for update in subscribe(job.job_id, events.FIRST, caller, settings, clock):
        if update is None:
            yield COMMENT
            continue
        steps = translation.steps
        ended = None if update.job is None else views.response_of(update.job, request, model=model, steps=steps)
        for written in translation.translate(update, ended):
            clock.note_event()
            yield written


async def deleted_response(job: StoredJob, request: dict[str, Any], model: str | None) -> AsyncIterator[bytes]:
    """Write the events of a replayed response that has been deleted: its first events and an error."""
    translation = Translation(job.job_id, views.response_of(job, request, model=model))
    for written in translation.begin():
        yield written
    message = "The response has been deleted; a result is kept for RESULT_TTL after the end of its job"
    for written in translation.fail("not_found", message):
        yield written
