"""OpenAI's request as a query of ours; what a run of the CLI cannot honour is refused by its name."""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, ValidationError

from shared.api.errors import FieldError, InvalidRequest, RefusedParameter
from shared.api.models import Wire
from shared.api.requests import ResponseQuery
from shared.http.compat import as_path
from shared.http.problems import not_valid

PREFIX = "resp_"
# What says what is done anyway, so that a program that always sends it is not refused.
_NOTHING_NEW: dict[str, tuple[Any, ...]] = {
    "tools": ([],),
    "tool_choice": ("auto", "none"),
    "include": ([],),
    "truncation": ("disabled",),
    "service_tier": ("auto", "default"),
    "parallel_tool_calls": (True, False),
    "stream_options": ({}, {"include_obfuscation": False}),
}
# What an item of the input may say beside its role and its content.
_MESSAGE = ("type", "message")
_OURS = {
    "query": "input",
    "systemPrompt": "instructions",
    "outputSchema": "text/format/schema",
    "maxOutputTokens": "max_output_tokens",
    "effort": "reasoning/effort",
}


class ResponseRequest(Wire):
    """The body: whatever OpenAI's API takes, looked at field by field."""

    model_config = ConfigDict(extra="allow", alias_generator=None)

    background: Any = None
    input: Any = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a body asks for; `previous` is the response that it goes on from."""

    query: ResponseQuery
    previous: str | None
    stream: bool


def asked_by(body: ResponseRequest) -> Asked:
    """Translate a body; raises InvalidRequest that names what is wrong."""
    given = {name: value for name, value in body.model_dump().items() if value is not None}
    if given.pop("background", None) is not True:
        raise RefusedParameter("background", "should be true: answers are made by a queue", "unsupported_value")
    stream, store = (_flag(given, name, default) for name, default in (("stream", False), ("store", True)))
    previous = given.pop("previous_response_id", None)
    if previous is not None and not isinstance(previous, str):
        raise RefusedParameter("previous_response_id", "should be text", "invalid_value")
    if previous is not None and not store:
        raise RefusedParameter(
            "store", "should be true: what goes on from a response is kept with it", "unsupported_value"
        )
    # Each is read by its own id: one that the cache answers would be somebody's older job.
    fields: dict[str, Any] = {"session": store, "cache": {"mode": "refresh"}}
    for name, value in given.items():
        if value not in _NOTHING_NEW.get(name, ()):
            fields |= _field(name, value, fields)
    if "query" not in fields:
        raise RefusedParameter("input", "is needed", "missing_required_parameter")
    try:
        return Asked(ResponseQuery.model_validate(fields), previous, stream)
    except ValidationError as error:
        raise renamed(not_valid(error), body.input) from None


def _flag(given: dict[str, Any], name: str, default: bool) -> bool:
    value = given.pop(name, default)
    if not isinstance(value, bool):
        raise RefusedParameter(name, "should be true or false", "invalid_value")
    return value


def renamed(error: InvalidRequest, given: Any) -> InvalidRequest:
    """Return an error of the gateway's own with the path that OpenAI's client knows; `given` is the body's input."""
    first = error.errors[0] if error.errors else FieldError("", error.detail)
    name, *inside = first.pointer.removeprefix("/").split("/")
    # The query is the content of the last message.
    theirs = f"input/{len(given) - 1}/content" if name == "query" and isinstance(given, list) else _OURS.get(name, name)
    return RefusedParameter(as_path("/" + "/".join([theirs, *inside])), first.message, "invalid_value")


def _field(name: str, value: Any, fields: dict[str, Any]) -> dict[str, Any]:
    match name, value:
        case "model" | "metadata", _:
            return {name: value}
        case "max_output_tokens", _:
            return {"maxOutputTokens": value}
        case "instructions", str():
            return {"systemPrompt": _joined(value, fields.get("systemPrompt"))}
        case "input", str():
            return {"query": value}
        case "input", list():
            return _messages(value, fields)
        case "text", dict():
            return _text(value)
        case "reasoning", dict():
            _nothing_more({part: said for part, said in value.items() if part != "effort"}, "reasoning")
            return {"effort": value.get("effort")}
        case _:
            raise RefusedParameter(name, "cannot be honoured by a run of the CLI")


def _messages(items: list[Any], fields: dict[str, Any]) -> dict[str, Any]:
    """Take messages of a system or a developer as instructions, and one of the user, the last, as the query."""
    said: str | None = fields.get("systemPrompt")
    for place, item in enumerate(items):
        where = f"input[{place}]"
        match item:
            case {"role": "system" | "developer", "content": content, **rest} if place < len(items) - 1:
                _nothing_more(rest, where, _MESSAGE)
                said = _joined(said, _content(content, f"{where}.content"))
            case {"type": str(kind)} if kind != "message":
                raise RefusedParameter(
                    f"{where}.type", f"{kind[:40]} cannot be honoured by a run of the CLI; message can"
                )
            case {"role": "user", "content": content, **rest} if place == len(items) - 1:
                _nothing_more(rest, where, _MESSAGE)
                told = {} if said is None else {"systemPrompt": said}
                return {"query": _content(content, f"{where}.content"), **told}
            case _:
                raise RefusedParameter(
                    where, "should be one message of the user, after those of a system; previous_response_id goes on"
                )
    raise RefusedParameter("input", "should not be empty")


def _content(content: Any, where: str) -> str:
    match content:
        case str():
            return content
        case list():
            return "\n".join(_part(part, f"{where}[{place}]") for place, part in enumerate(content))
        case _:
            raise RefusedParameter(where, "should be text")


def _part(part: Any, where: str) -> str:
    match part:
        case {"type": "input_text", "text": str(text), **rest}:
            _nothing_more(rest, where)
            return text
        case {"type": "input_text"}:
            raise RefusedParameter(f"{where}.text", "should be text")
        case {"type": str(kind)}:
            why = f"{kind[:40]} cannot be honoured by a run of the CLI; input_text can"
            raise RefusedParameter(f"{where}.type", why)
        case _:
            raise RefusedParameter(where, "should be a part of text")


def _text(text: dict[str, Any]) -> dict[str, Any]:
    _nothing_more({name: value for name, value in text.items() if name != "format"}, "text")
    match text.get("format"):
        case None:
            return {}
        case {"type": "text", **rest}:
            _nothing_more(rest, "text.format")
            return {}
        case {"type": "json_schema", "schema": dict(schema), **rest}:
            return {"outputSchema": schema, "textFormat": _told_of_format(rest)}
        case {"type": "json_schema"}:
            raise RefusedParameter("text.format.schema", "should be a JSON Schema", "invalid_value")
        case {"type": _}:
            raise RefusedParameter("text.format.type", "should be text or json_schema", "unsupported_value")
        case _:
            raise RefusedParameter("text.format", "should be text or json_schema")


def _told_of_format(given: dict[Any, Any]) -> dict[str, Any] | None:
    """Return what is only told again of a format: an answer is held to its schema, strict or not."""
    told = {name: given.pop(name) for name in ("name", "strict") if given.get(name) is not None}
    _nothing_more(given, "text.format")
    name = told.get("name", "answer")
    if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name)):
        raise RefusedParameter("text.format.name", "should be up to 64 letters, digits, _ and -", "invalid_value")
    if not isinstance(told.get("strict", False), bool):
        raise RefusedParameter("text.format.strict", "should be true or false", "invalid_value")
    return told or None


def _nothing_more(rest: dict[Any, Any], where: str, but: tuple[str, str] | None = None) -> None:
    """Refuse what is left over of an object, but for one pair of a name and a value."""
    for name, value in rest.items():
        if value is not None and (name, value) != but:
            raise RefusedParameter(f"{where}.{name[:60]}", "cannot be honoured by a run of the CLI")


def _joined(first: str | None, second: str | None) -> str:
    return "\n\n".join(part for part in (first, second) if part)
