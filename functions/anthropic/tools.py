"""A tool that the request forces the model to use: its input is a structured answer, whose schema is the tool's."""

from typing import Any

from functions.anthropic.parameters import refused

_NO_EFFECT = {"type", "strict", "cache_control", "eager_input_streaming"}


def forced_tool(params: dict[str, Any], place: str) -> dict[str, Any]:
    """Remove `tools` and `tool_choice` from the parameters, and return them as fields of a query.

    Raises InvalidRequest for any tool that the model may choose by itself.
    """
    tools, choice = params.pop("tools", None), params.pop("tool_choice", None)
    if not tools:
        if choice is not None:
            raise refused(f"{place}tool_choice", "should be used with tools")
        return {}
    match tools, choice:
        case [{"name": str(name), "input_schema": dict(schema), **rest}], {"type": "tool" | "any", **options}:
            is_custom = rest.get("type") in (None, "custom")
            if is_custom and not rest.keys() - _NO_EFFECT - {"description"} and options.get("name", name) == name:
                described = {} if rest.get("description") is None else {"description": rest["description"]}
                return {"outputSchema": {**described, **schema}, "answerTool": name}
        case _:
            pass
    raise refused(f"{place}tools", "supported is one tool that tool_choice forces, for a structured answer")
