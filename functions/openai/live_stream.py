"""The stream events of a response whose client waits."""

from dataclasses import replace
from typing import Any

from functions.openai import views
from functions.openai.stream import Translation
from shared.api.errors import AnswerFailed, GatewayError
from shared.services.following import COMMENT
from shared.store.jobs.records import StoredJob


class ResponseWriter:
    """Writes the events of one response, which is in progress from the first."""

    def __init__(self, job: StoredJob, request: dict[str, Any], model: str | None) -> None:
        self._request, self._model = request, model
        begun = replace(job, record={**job.record, "state": "active"}, result=None)
        self._events = Translation(job.job_id, views.response_of(begun, request, model=model))

    def begin(self) -> bytes:
        """Write the events that precede the text."""
        return b"".join(self._events.begin())

    def add(self, text: str) -> bytes:
        """Write the next piece of text."""
        return b"".join(self._events.add(text))

    def step(self, data: str) -> bytes:
        """Write a step that is an item."""
        return b"".join(self._events.step(data))

    def restart(self) -> bytes:
        """Write that the text so far is void."""
        return b"".join(self._events.restart())

    def end(self, job: StoredJob, rest: str) -> bytes:
        """Write the rest of the text and the completed response."""
        written = self._events.add(rest) if rest else []
        ended = views.response_of(job, self._request, model=self._model, steps=self._events.steps)
        return b"".join(written + self._events.end(job, ended))

    def fail(self, error: GatewayError) -> bytes:
        """Write the failed response that ends the stream."""
        code = error.job_code if isinstance(error, AnswerFailed) else error.code
        return b"".join(self._events.end_with(views.error_of(code, error.detail)))

    def keep_alive(self) -> bytes:
        """Write a comment."""
        return COMMENT
