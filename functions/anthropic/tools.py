"""The tools of a request of Anthropic's API: the client runs them, and the gateway hands the model's calls on."""

from typing import Any

from functions.anthropic.parameters import UNSUPPORTED, refused
from shared.api import client_tools

# `strict` is not enforced; the others change no answer.
_NO_EFFECT = {"type", "strict", "cache_control", "eager_input_streaming"}
_CHOICES = ("auto", "any", "tool", "none")


def tools_of(params: dict[str, Any], place: str) -> dict[str, Any]:
    """Return `tools` and `tool_choice` of the parameters as fields of a query; raises InvalidRequest.

    One tool that the request forces is a structured answer.
    """
    tools, choice = params.get("tools") or [], params.get("tool_choice")
    if not isinstance(tools, list):
        raise refused(f"{place}tools", "should be a list of tools")
    if not tools:
        if choice not in (None, {"type": "auto"}, {"type": "none"}):
            raise refused(f"{place}tool_choice", "should be used with tools")
        return {}
    found = [_tool(tool, f"{place}tools.{number}") for number, tool in enumerate(tools)]
    if (number := client_tools.repeated(found)) is not None:
        raise refused(f"{place}tools.{number}.name", "should be unique")
    choice = _choice(choice, [tool["name"] for tool in found], f"{place}tool_choice")
    if len(found) == 1 and choice["type"] in {"any", "tool"}:
        return client_tools.as_answer(found[0])
    return {"clientTools": found, "clientToolChoice": None if choice == {"type": "auto"} else choice}


def _tool(tool: Any, place: str) -> dict[str, Any]:
    if not isinstance(tool, dict):
        raise refused(place, "should be an object")
    if tool.get("type") not in (None, "custom"):
        raise refused(f"{place}.type", f"{str(tool['type'])[:60]} is not supported; use a tool that the client runs")
    name, schema, description = tool.get("name"), tool.get("input_schema"), tool.get("description")
    if not isinstance(name, str) or not client_tools.NAME.fullmatch(name):
        raise refused(f"{place}.name", "should be 1 to 128 letters, digits, _ and -")
    if not isinstance(schema, dict):
        raise refused(f"{place}.input_schema", "should be a JSON Schema")
    if not isinstance(description, str | None):
        raise refused(f"{place}.description", "should be text")
    for other, value in tool.items():
        if value is not None and other not in {"name", "input_schema", "description", *_NO_EFFECT}:
            raise refused(f"{place}.{other[:60]}", UNSUPPORTED)
    return client_tools.tool(name, description, schema)


def _choice(choice: Any, names: list[str], place: str) -> dict[str, Any]:
    match choice:
        case None:
            return {"type": "auto"}
        case {"type": str(kind), **rest} if kind in _CHOICES:
            name, alone = rest.pop("name", None), rest.pop("disable_parallel_tool_use", None)
            for other in rest:
                raise refused(f"{place}.{str(other)[:60]}", UNSUPPORTED)
            if (kind == "tool" and name not in names) or (kind != "tool" and name is not None):
                raise refused(f"{place}.name", "should be the name of one of the tools, with the type tool")
            if not isinstance(alone, bool | None):
                raise refused(f"{place}.disable_parallel_tool_use", "should be true or false")
            named = {} if name is None else {"name": name}
            return {"type": kind, **named, **({"disable_parallel_tool_use": True} if alone and kind != "none" else {})}
        case _:
            raise refused(f"{place}.type", f"should be one of {', '.join(_CHOICES)}")
