"""Anthropic's batch requests as queries of ours; what a run of the CLI cannot honour is refused by its name."""

from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from shared.api.errors import FieldError, InvalidRequest
from shared.api.models import Wire
from shared.api.requests import MOST_QUERIES, BatchQuery
from shared.http.problems import not_valid
from shared.services.batches import error_at

_SAME = {"model": "model", "max_tokens": "maxOutputTokens"}
# Where in `params` a client of that API has put what is a field of ours.
_THEIRS = {
    "query": "messages",
    "maxOutputTokens": "max_tokens",
    "systemPrompt": "system",
    "effort": "output_config/effort",
    "outputSchema": "output_config/format/schema",
}


class MessageBatchRequest(Wire):
    """The body, as far as it is the same for every request in it."""

    model_config = ConfigDict(extra="forbid", alias_generator=None)

    requests: list[dict[str, Any]] = Field(min_length=1, max_length=MOST_QUERIES)


def queries_of(requests: list[dict[str, Any]]) -> list[BatchQuery]:
    """Translate all; raises InvalidRequest for the first that cannot be, and names it as Anthropic's API does."""
    queries, names = [], set()
    for number, one in enumerate(requests):
        place = f"requests.{number}"
        name = one.get("custom_id")
        if not isinstance(name, str) or name in names:
            raise refused(f"{place}.custom_id", "should be a text that no other request of the batch has")
        names.add(name)
        if unknown := sorted(set(one) - {"custom_id", "params"}):
            raise refused(f"{place}.{unknown[0][:60]}", "is not known here")
        params = one.get("params")
        if not isinstance(params, dict):
            raise refused(f"{place}.params", "should be an object")
        fields = {"customId": name, **_fields(params, f"{place}.params")}
        try:
            queries.append(BatchQuery.model_validate(fields))
        except ValidationError as error:
            raise renamed(error_at(not_valid(error), f"{place}.params")) from None
    return queries


def renamed(error: InvalidRequest) -> InvalidRequest:
    """Return an error of ours, placed in the body, with the names that Anthropic's client knows."""
    fields = tuple(FieldError(_theirs(field.pointer), field.message) for field in error.errors)
    detail = "; ".join(f"{field.pointer.strip('/').replace('/', '.')}: {field.message}" for field in fields[:5])
    return InvalidRequest(detail or error.detail, errors=fields, headers=error.headers)


def _theirs(pointer: str) -> str:
    above, params, ours = pointer.partition("/params/")
    name, *inside = ours.split("/")
    # The one field that is beside `params`.
    return f"{above}/custom_id" if name == "customId" else above + params + "/".join([_THEIRS.get(name, name), *inside])


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
                fields["query"] = _query(value, where)
            case "system":
                fields["systemPrompt"] = _text(value, where)
            case "metadata":
                fields["metadata"] = {key: one for key, one in _object(value, where).items() if one is not None}
            case "output_config":
                fields |= _output(_object(value, where), where)
            case _:
                raise refused(where, "cannot be honoured by a run of the CLI")
    for name, ours in {**_SAME, "messages": "query"}.items():
        if ours not in fields:
            raise refused(f"{place}.{name}", "is needed")
    return fields


def _query(messages: Any, place: str) -> str:
    """Return the text of the one message that a conversation may have: there is no session in a batch."""
    match messages:
        case [{"role": "user", "content": content, **rest}] if not rest:
            return _text(content, f"{place}.0.content")
        case _:
            raise refused(place, "should be one message, of the user")


def _text(content: Any, place: str) -> str:
    match content:
        case str():
            return content
        case list():
            return "\n".join(_part(part, f"{place}.{number}") for number, part in enumerate(content))
        case _:
            raise refused(place, "should be text")


def _part(part: Any, place: str) -> str:
    match part:
        case {"type": "text", "text": str(text), **rest}:
            for name, value in rest.items():
                if value is not None:
                    raise refused(f"{place}.{str(name)[:60]}", "cannot be honoured by a run of the CLI")
            return text
        case {"type": "text"}:
            raise refused(f"{place}.text", "should be text")
        case {"type": str(kind)}:
            raise refused(place, f"{kind[:40]} cannot be honoured by a run of the CLI; text can")
        case _:
            raise refused(place, "should be a block of text")


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
                raise refused(f"{place}.{name[:60]}", "cannot be honoured by a run of the CLI")
    return fields


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise refused(place, "should be an object")
    return value


def refused(place: str, why: str) -> InvalidRequest:
    """Return the refusal of one parameter, named by its place."""
    pointer = "/" + place.replace(".", "/")
    return InvalidRequest(f"{place}: {why}", errors=(FieldError(pointer, why),))
