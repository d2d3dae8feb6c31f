"""What submissions with the same options have in common, kept: programs send the same options with each query.

A template gives exactly the submission that `preparing` makes of the request, with the query in its place.
"""

from collections import OrderedDict
from typing import Any

from pydantic_core import to_json

from shared import digests
from shared.api.ids import new_id
from shared.api.requests import SubmitRequest
from shared.configuration.settings import SubmitSettings
from shared.store.callers import usage
from shared.store.jobs.submissions import Submission
from shared.tracing import context

# 17 MB in all at most: a prompt is in the key and, with its escapes, in the request and in the form.
_KEPT, _LONGEST_PROMPT = 256, 4096
# Options of which the submission is a function: not the time, a name that is resolved, or what the store has.
_OPTIONS = (
    "model",
    "system_prompt",
    "priority",
    "max_turns",
    "max_budget_usd",
    "max_output_tokens",
    "effort",
    "timeout_ms",
)
_ALLOWED = frozenset({"query", *_OPTIONS})
_QUERY = b'"query":'
# What each submission has of its own.
_OWN = frozenset({"job_id", "request_id", "request", "label", "trace"})

Key = tuple[object, ...]


def key_of(request: SubmitRequest, caller: str) -> Key | None:
    """Return what a request with a template has in common with others of it; None for a request without one."""
    if not request.model_fields_set <= _ALLOWED or type(request) is not SubmitRequest:
        return None
    values = vars(request)
    if len(values["system_prompt"] or "") > _LONGEST_PROMPT:
        return None
    return (caller, *[values[name] for name in _OPTIONS])


class Template:
    """A submission without its query, ids and trace, for the settings that it was made by."""

    def __init__(self, submission: Submission, form: bytes, query: str, settings: SubmitSettings) -> None:
        """Take the query out of a submission, and out of the form that its fingerprint is the digest of, if any."""
        quoted = _QUERY + to_json(query)
        # No other field of either has this name, and in a text its quotes would be escaped.
        self._before, _, self._after = submission.request.encode().partition(quoted)
        self._form = form.partition(quoted)[::2] if form else None
        # Not the request, which may be as long as MAX_QUERY_BYTES, nor what `filled` sets.
        self._fields = {name: value for name, value in vars(submission).items() if name not in _OWN}
        self._longest = len(_QUERY) + settings.max_query_bytes
        self.settings = settings

    def filled(self, query: str, request_id: str) -> Submission | None:
        """Return the submission of a query; None for one that may be too long, as escapes count here."""
        quoted = _QUERY + to_json(query)
        if len(quoted) > self._longest:
            return None
        fields: dict[str, Any] = {
            **self._fields,
            "job_id": new_id(),
            "request_id": request_id,
            "request": (self._before + quoted + self._after).decode(),
        }
        if label := usage.label(""):
            fields["label"] = label
        if trace := context.current_text():
            fields["trace"] = trace
        if self._form:
            before, after = self._form
            fields["fingerprint"] = digests.of_bytes(before + quoted + after)
        return Submission.of(fields)


_kept: OrderedDict[Key, Template] = OrderedDict()


def find(key: Key, settings: SubmitSettings) -> Template | None:
    """Return the template that was kept by this key for the same settings."""
    found = _kept.get(key)
    if found is None or found.settings is not settings:
        return None
    _kept.move_to_end(key)
    return found


def keep(key: Key, template: Template) -> None:
    """Keep a template, in place of the one that was used the longest ago if there are too many."""
    _kept[key] = template
    _kept.move_to_end(key)
    if len(_kept) > _KEPT:
        _kept.popitem(last=False)
