"""Translate requests of OpenAI's Responses API into queries. Unsupported parameters are refused by name."""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, ValidationError

from shared.api.errors import FieldError, InvalidRequest, RefusedParameter
from shared.api.models import Wire
from shared.api.requests import CompatQuery
from shared.http.compat import as_path
from shared.http.problems import invalid_request

PREFIX = "resp_"
UNSUPPORTED = "not supported; remove it"
# Values that change nothing, accepted because some programs always send them.
_NO_EFFECT: dict[str, tuple[Any, ...]] = {
    "tools": ([],),
    "tool_choice": ("auto", "none"),
    "include": ([],),
    "truncation": ("disabled",),
    "service_tier": ("auto", "default"),
    "parallel_tool_calls": (True, False),
    "stream_options": ({}, {"include_obfuscation": False}),
}
# The field that an item of the input may have beside role and content.
_MESSAGE = ("type", "message")
# Our field → the parameter of OpenAI's API.
_PARAMETERS = {
    "query": "input",
    "systemPrompt": "instructions",
    "outputSchema": "text/format/schema",
    "maxOutputTokens": "max_output_tokens",
    "effort": "reasoning/effort",
}


class ResponseRequest(Wire):
    """A body of OpenAI's API; `translate` checks its fields."""

    model_config = ConfigDict(extra="allow", alias_generator=None)

    background: Any = None
    input: Any = None


@dataclass(frozen=True, slots=True)
class Translated:
    """A body as a query; `previous` is the response that it continues."""

    query: CompatQuery
    previous: str | None
    stream: bool


def translate(body: ResponseRequest) -> Translated:
    """Translate a body; raises RefusedParameter, which names the parameter."""
    given = {name: value for name, value in body.model_dump().items() if value is not None}
    if given.pop("background", None) is not True:
        raise RefusedParameter("background", "should be true; only background mode is supported", "unsupported_value")
    stream, store = (_flag(given, name, default) for name, default in (("stream", False), ("store", True)))
    previous = given.pop("previous_response_id", None)
    if previous is not None and not isinstance(previous, str):
        raise RefusedParameter("previous_response_id", "should be a string", "invalid_value")
    if previous is not None and not store:
        raise RefusedParameter("store", "should be true with previous_response_id", "unsupported_value")
    # Refresh, because a response is read by its own id; a cached answer would have the id of an older job.
    fields: dict[str, Any] = {"session": store, "cache": {"mode": "refresh"}}
    for name, value in given.items():
        if value not in _NO_EFFECT.get(name, ()):
            fields |= _translate_field(name, value, fields)
    if "query" not in fields:
        raise RefusedParameter("input", "required", "missing_required_parameter")
    try:
        return Translated(CompatQuery.model_validate(fields), previous, stream)
    except ValidationError as error:
        raise as_parameter(invalid_request(error), body.input) from None


def _flag(given: dict[str, Any], name: str, default: bool) -> bool:
    value = given.pop(name, default)
    if not isinstance(value, bool):
        raise RefusedParameter(name, "should be true or false", "invalid_value")
    return value


def as_parameter(error: InvalidRequest, body_input: Any) -> InvalidRequest:
    """Return an error of a query as the error of the parameter in OpenAI's API."""
    first = error.errors[0] if error.errors else FieldError("", error.detail)
    name, *inside = first.pointer.removeprefix("/").split("/")
    parameter = _PARAMETERS.get(name, name)
    if name == "query" and isinstance(body_input, list):  # the query is the content of the last message
        parameter = f"input/{len(body_input) - 1}/content"
    return RefusedParameter(as_path("/" + "/".join([parameter, *inside])), first.message, "invalid_value")


def _translate_field(name: str, value: Any, fields: dict[str, Any]) -> dict[str, Any]:
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
            _refuse_others({part: given for part, given in value.items() if part != "effort"}, "reasoning")
            return {"effort": value.get("effort")}
        case _:
            raise RefusedParameter(name, UNSUPPORTED)


def _messages(items: list[Any], fields: dict[str, Any]) -> dict[str, Any]:
    """Translate system and developer messages into instructions, and the last message, the user's, into the query."""
    instructions: str | None = fields.get("systemPrompt")
    for place, item in enumerate(items):
        where = f"input[{place}]"
        match item:
            case {"role": "system" | "developer", "content": content, **rest} if place < len(items) - 1:
                _refuse_others(rest, where, _MESSAGE)
                instructions = _joined(instructions, _content(content, f"{where}.content"))
            case {"type": str(kind)} if kind != "message":
                raise RefusedParameter(f"{where}.type", f"{kind[:40]} is not supported; use message")
            case {"role": "user", "content": content, **rest} if place == len(items) - 1:
                _refuse_others(rest, where, _MESSAGE)
                prompt = {} if instructions is None else {"systemPrompt": instructions}
                return {"query": _content(content, f"{where}.content"), **prompt}
            case _:
                raise RefusedParameter(
                    where, "should be system messages, then one user message; previous_response_id continues a response"
                )
    raise RefusedParameter("input", "should have at least one item")


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
            _refuse_others(rest, where)
            return text
        case {"type": "input_text"}:
            raise RefusedParameter(f"{where}.text", "should be text")
        case {"type": str(kind)}:
            raise RefusedParameter(f"{where}.type", f"{kind[:40]} is not supported; use input_text")
        case _:
            raise RefusedParameter(where, "should be an input_text part")


def _text(text: dict[str, Any]) -> dict[str, Any]:
    _refuse_others({name: value for name, value in text.items() if name != "format"}, "text")
    match text.get("format"):
        case None:
            return {}
        case {"type": "text", **rest}:
            _refuse_others(rest, "text.format")
            return {}
        case {"type": "json_schema", "schema": dict(schema), **rest}:
            return {"outputSchema": schema, "textFormat": _format_options(rest)}
        case {"type": "json_schema"}:
            raise RefusedParameter("text.format.schema", "should be a JSON Schema", "invalid_value")
        case {"type": _}:
            raise RefusedParameter("text.format.type", "should be text or json_schema", "unsupported_value")
        case _:
            raise RefusedParameter("text.format", "should be text or json_schema")


def _format_options(given: dict[Any, Any]) -> dict[str, Any] | None:
    """Return name and strictness of a format, which responses repeat. Every answer conforms to its schema."""
    options = {name: given.pop(name) for name in ("name", "strict") if given.get(name) is not None}
    _refuse_others(given, "text.format")
    name = options.get("name", "answer")
    if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name)):
        raise RefusedParameter("text.format.name", "should be 1 to 64 letters, digits, _ and -", "invalid_value")
    if not isinstance(options.get("strict", False), bool):
        raise RefusedParameter("text.format.strict", "should be true or false", "invalid_value")
    return options or None


def _refuse_others(rest: dict[Any, Any], where: str, allowed: tuple[str, str] | None = None) -> None:
    """Raise RefusedParameter for any remaining field of an object, except one pair of name and value."""
    for name, value in rest.items():
        if value is not None and (name, value) != allowed:
            raise RefusedParameter(f"{where}.{name[:60]}", UNSUPPORTED)


def _joined(first: str | None, second: str | None) -> str:
    return "\n\n".join(part for part in (first, second) if part)
