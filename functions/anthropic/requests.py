"""Translate requests of Anthropic's Message Batches API into queries. Unsupported parameters are refused by name."""

from collections.abc import Callable
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from functions.anthropic.attachments import attached, is_attachment
from functions.anthropic.parameters import refused as refused  # noqa: PLC0414 -- for the routes
from shared.api.errors import FieldError, InvalidRequest
from shared.api.models import Wire
from shared.api.requests import MOST_QUERIES, BatchQuery
from shared.http.problems import invalid_request
from shared.services.batches import error_at

UNSUPPORTED = "not supported; remove it"
_SAME = {"model": "model", "max_tokens": "maxOutputTokens"}
# Our field → its place in `params` of Anthropic's API.
_PLACES = {
    "query": "messages",
    "maxOutputTokens": "max_tokens",
    "systemPrompt": "system",
    "effort": "output_config/effort",
    "outputSchema": "output_config/format/schema",
}


class MessageBatchRequest(Wire):
    """A body of Anthropic's API; `queries_of` checks each of its requests."""

    model_config = ConfigDict(extra="forbid", alias_generator=None)

    requests: list[dict[str, Any]] = Field(min_length=1, max_length=MOST_QUERIES)


def queries_of(requests: list[dict[str, Any]]) -> list[BatchQuery]:
    """Translate all requests; raises InvalidRequest, which names the first invalid one as Anthropic's API does."""
    queries, names = [], set()
    for number, one in enumerate(requests):
        place = f"requests.{number}"
        name = one.get("custom_id")
        if not isinstance(name, str) or name in names:
            raise refused(f"{place}.custom_id", "should be a string that is unique in the batch")
        names.add(name)
        if unknown := sorted(set(one) - {"custom_id", "params"}):
            raise refused(f"{place}.{unknown[0][:60]}", "unknown field")
        params = one.get("params")
        if not isinstance(params, dict):
            raise refused(f"{place}.params", "should be an object")
        fields = {"customId": name, **_fields(params, f"{place}.params")}
        try:
            queries.append(BatchQuery.model_validate(fields))
        except ValidationError as error:
            raise as_parameter(error_at(invalid_request(error), f"{place}.params")) from None
    return queries


def as_parameter(error: InvalidRequest) -> InvalidRequest:
    """Return an error of the batch with the names of the parameters in Anthropic's API."""
    fields = tuple(FieldError(_parameter(field.pointer), field.message) for field in error.errors)
    detail = "; ".join(f"{field.pointer.strip('/').replace('/', '.')}: {field.message}" for field in fields[:5])
    return InvalidRequest(detail or error.detail, errors=fields, headers=error.headers)


def _parameter(pointer: str) -> str:
    above, params, field = pointer.partition("/params/")
    name, *inside = field.split("/")
    if name == "attachments":  # blocks of the only message
        return f"{above}/params/messages/0/content"
    # The one field beside `params`.
    return f"{above}/custom_id" if name == "customId" else above + params + "/".join([_PLACES.get(name, name), *inside])


def _fields(params: dict[str, Any], place: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in params.items():
        where = f"{place}.{name[:60]}"
        match name:
            case _ if value is None or (name == "stream" and value is False):
                pass
            case "model" | "max_tokens":
                fields[_SAME[name]] = value
            case "messages":
                fields |= _query(value, where)
            case "system":
                fields["systemPrompt"] = _text(value, where)
            case "metadata":
                fields["metadata"] = {key: text for key, text in _object(value, where).items() if text is not None}
            case "output_config":
                fields |= _output(_object(value, where), where)
            case _:
                raise refused(where, UNSUPPORTED)
    for name, field in {**_SAME, "messages": "query"}.items():
        if field not in fields:
            raise refused(f"{place}.{name}", "required")
    return fields


def _query(messages: Any, place: str) -> dict[str, Any]:
    """Return text and attachments of the only message; a batch has no sessions, so it cannot have earlier turns."""
    match messages:
        case [{"role": "user", "content": content, **rest}] if not rest:
            place += ".0.content"
            fields: dict[str, Any] = {"query": _text(content, place, without=is_attachment)}
            attachments = attached(content, place)
            return {**fields, "attachments": attachments} if attachments else fields
        case _:
            raise refused(place, "should be one user message")


def _text(content: Any, place: str, without: Callable[[Any], bool] = lambda _: False) -> str:
    match content:
        case str():
            return content
        case list():
            parts = enumerate(content)
            return "\n".join(_part(part, f"{place}.{number}") for number, part in parts if not without(part))
        case _:
            raise refused(place, "should be text")


def _part(part: Any, place: str) -> str:
    match part:
        case {"type": "text", "text": str(text), **rest}:
            for name, value in rest.items():
                if value is not None:
                    raise refused(f"{place}.{str(name)[:60]}", UNSUPPORTED)
            return text
        case {"type": "text"}:
            raise refused(f"{place}.text", "should be text")
        case {"type": str(kind)}:
            raise refused(place, f"{kind[:40]} is not supported here; use text")
        case _:
            raise refused(place, "should be a text block")


def _output(config: dict[str, Any], place: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in config.items():
        match name, value:
            case _, None:
                pass
            case "effort", str():
                fields["effort"] = value
            case "format", {"type": "json_schema", "schema": dict(schema), **rest} if not rest:
                fields["outputSchema"] = schema
            case _:
                raise refused(f"{place}.{name[:60]}", UNSUPPORTED)
    return fields


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise refused(place, "should be an object")
    return value
