"""The functions of a request of OpenAI's APIs: the client runs them, and the gateway hands the model's calls on."""

import json
from typing import Any

from functions.openai.calls import UNSUPPORTED
from shared.api import client_tools
from shared.api.errors import RefusedParameter

# `strict` is not enforced.
_FIELDS = {"name", "description", "parameters", "strict"}
# OpenAI's choice → Claude's.
_CHOICES = {"auto": "auto", "required": "any", "none": "none"}


def take_tools(given: dict[str, Any], *, nested: bool) -> dict[str, Any]:
    """Remove tools, their choice and `parallel_tool_calls` from the parameters, and return them as fields of a query.

    A function of a chat is `nested` in an object of its tool. One function that a chat forces is a structured answer.
    Raises RefusedParameter.
    """
    if not given.get("tools"):
        return {}
    tools, choice, parallel = (given.pop(name, None) for name in ("tools", "tool_choice", "parallel_tool_calls"))
    if not isinstance(tools, list):
        raise RefusedParameter("tools", "should be a list of functions", "invalid_value")
    if not isinstance(parallel, bool | None):
        raise RefusedParameter("parallel_tool_calls", "should be true or false", "invalid_value")
    found = [_tool(tool, f"tools[{number}]", nested=nested) for number, tool in enumerate(tools)]
    if (number := client_tools.repeated(found)) is not None:
        raise RefusedParameter(f"tools[{number}].name", "should be unique", "invalid_value")
    ours = _choice(choice, [tool["name"] for tool in found], nested=nested)
    if nested and len(found) == 1 and ours["type"] in {"any", "tool"}:
        return client_tools.as_answer(found[0])
    if parallel is False and ours["type"] != "none":
        ours["disable_parallel_tool_use"] = True
    return {"clientTools": found, "clientToolChoice": None if ours == {"type": "auto"} else ours}


def _tool(tool: Any, place: str, *, nested: bool) -> dict[str, Any]:
    function: dict[Any, Any] = {}
    rest: dict[Any, Any] = {}
    match tool:
        case {"type": "function", "function": dict(function), **rest} if nested:
            place += ".function"
        case {"type": "function", **function} if not nested:
            pass
        case {"type": str(kind)} if kind != "function":
            raise RefusedParameter(f"{place}.type", f"{kind[:40]} is not supported; use function")
        case _:
            raise RefusedParameter(place, "should be a function", "invalid_value")
    for name, value in (*rest.items(), *function.items()):
        if name not in _FIELDS and value is not None:
            raise RefusedParameter(f"{place}.{str(name)[:60]}", UNSUPPORTED)
    name, schema, description = (function.get(field) for field in ("name", "parameters", "description"))
    if not isinstance(name, str) or not client_tools.NAME.fullmatch(name):
        raise RefusedParameter(f"{place}.name", "should be 1 to 128 letters, digits, _ and -", "invalid_value")
    if not isinstance(schema, dict | None):
        raise RefusedParameter(f"{place}.parameters", "should be a JSON Schema", "invalid_value")
    if not isinstance(description, str | None):
        raise RefusedParameter(f"{place}.description", "should be text", "invalid_value")
    return client_tools.tool(name, description, schema or {})


def _choice(choice: Any, names: list[str], *, nested: bool) -> dict[str, Any]:
    match choice:
        case None:
            return {"type": "auto"}
        case str() if choice in _CHOICES:
            return {"type": _CHOICES[choice]}
        case {"type": "function", "function": {"name": str(name)}} if nested and name in names:
            return {"type": "tool", "name": name}
        case {"type": "function", "name": str(name)} if not nested and name in names:
            return {"type": "tool", "name": name}
        case _:
            raise RefusedParameter(
                "tool_choice", f"should be {', '.join(_CHOICES)} or one of the functions", "unsupported_value"
            )


def tools_shown(request: dict[str, Any]) -> dict[str, Any]:
    """Return the tools of a stored request and the choice among them as a response repeats them."""
    choice = request.get("clientToolChoice") or {"type": "auto"}
    names = {ours: theirs for theirs, ours in _CHOICES.items()}
    tools = [
        {
            "type": "function",
            "name": tool["name"],
            "description": tool.get("description"),
            "parameters": tool["input_schema"],
            "strict": False,
        }
        for tool in request.get("clientTools", ())
    ]
    if not tools:
        return {"tools": [], "tool_choice": "none", "parallel_tool_calls": False}
    shown = {"type": "function", "name": choice["name"]} if choice["type"] == "tool" else names[choice["type"]]
    parallel = not choice.get("disable_parallel_tool_use", False)
    return {"tools": tools, "tool_choice": shown, "parallel_tool_calls": parallel}


def calls_of(result: dict[str, Any]) -> list[dict[str, str]]:
    """Return the calls of a result with their arguments as text."""
    return [call_of(call) for call in result.get("toolCalls", ())]


def call_of(call: dict[str, Any]) -> dict[str, str]:
    """Return a call with its arguments as text."""
    arguments = json.dumps(call["input"], ensure_ascii=False)
    return {"call_id": call["id"], "name": call["name"], "arguments": arguments}
