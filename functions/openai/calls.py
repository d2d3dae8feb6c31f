"""Calls of functions and their outputs among the messages of OpenAI's APIs, as turns."""

import re
from typing import Any

from pydantic_core import from_json

from shared.api.client_tools import NAME
from shared.api.errors import RefusedParameter
from shared.api.turns import Block, Turn, text

UNSUPPORTED = "not supported; remove it"
# Fields of an item that change no answer; `name` of an output is that of its call.
_NO_EFFECT = {"id", "status", "name", "parsed_arguments"}


def turn_of(item: Any, where: str) -> Turn | None:
    """Return an item that is a call or an output as a turn; None for any other. Raises RefusedParameter."""
    if not isinstance(item, dict):
        return None
    kind = item.get("type")
    rest = {name: value for name, value in item.items() if name not in {"type", "role"}}
    if kind == "function_call":
        return Turn("assistant", [_call(rest, where, "call_id")], where)
    if kind == "function_call_output":
        return Turn("user", [_result(rest, where, "call_id", "output")], where)
    if item.get("role") == "tool" and kind is None:
        return Turn("user", [_result(rest, where, "tool_call_id", "content")], where)
    return None


def taken_calls(item: Any, where: str) -> tuple[Any, list[Block]]:
    """Return a message of a chat without its `tool_calls`, and those; raises RefusedParameter."""
    if not isinstance(item, dict) or item.get("role") != "assistant" or not item.get("tool_calls"):
        return item, []
    calls: list[Block] = []
    given = item["tool_calls"]
    for number, call in enumerate(given if isinstance(given, list) else [given]):
        place = f"{where}.tool_calls[{number}]"
        match call:
            case {"id": identifier, "type": "function", "function": dict(function), **rest}:
                _refuse_others(rest, {"index"}, place)
                calls.append(_call({"id": identifier, **function}, f"{place}.function", "id"))
            case _:
                raise RefusedParameter(place, "should be a function with an id", "invalid_value")
    return {name: value for name, value in item.items() if name != "tool_calls"}, calls


def _call(fields: dict[str, Any], where: str, id_field: str) -> Block:
    name, arguments = fields.pop("name", None), fields.pop("arguments", None)
    identifier = _id(fields.pop(id_field, None), where, id_field)
    _refuse_others(fields, _NO_EFFECT, where)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise RefusedParameter(f"{where}.name", "should be 1 to 128 letters, digits, _ and -", "invalid_value")
    try:
        # The limits of a body, which this text passes as a string: at most 200 levels, finite numbers.
        given = from_json(arguments or "{}", allow_inf_nan=False)
    except (ValueError, TypeError):
        given = None
    if not isinstance(given, dict):
        raise RefusedParameter(f"{where}.arguments", "should be a JSON object as text", "invalid_value")
    return {"type": "tool_use", "id": identifier, "name": name, "input": given}


def _result(fields: dict[str, Any], where: str, id_field: str, content_field: str) -> Block:
    content = fields.pop(content_field, None)
    identifier = _id(fields.pop(id_field, None), where, id_field)
    _refuse_others(fields, _NO_EFFECT, where)
    result: Block = {"type": "tool_result", "tool_use_id": identifier}
    if isinstance(content, str):
        return {**result, "content": content}
    if not isinstance(content, list):
        raise RefusedParameter(f"{where}.{content_field}", "should be text", "invalid_value")
    texts: list[Block] = []
    for number, part in enumerate(content):
        match part:
            case {"type": "text" | "input_text" | "output_text", "text": str(words), **rest}:
                _refuse_others(rest, {"annotations", "logprobs"}, f"{where}.{content_field}[{number}]")
                texts.append(text(words))
            case _:
                raise RefusedParameter(f"{where}.{content_field}[{number}]", "should be a part with a text")
    return {**result, "content": texts}


def _id(value: Any, where: str, name: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 128:
        raise RefusedParameter(f"{where}.{name}", "should be the id of a call", "invalid_value")
    # The characters that Claude accepts; other products use more.
    return re.sub(r"[^a-zA-Z0-9_-]", "_", value)


def _refuse_others(rest: dict[Any, Any], allowed: set[str], where: str) -> None:
    for name, value in rest.items():
        if name not in allowed and value is not None:
            raise RefusedParameter(f"{where}.{str(name)[:60]}", UNSUPPORTED)
