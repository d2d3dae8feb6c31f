"""A function that the request forces the model to call: its arguments are a structured answer."""

from typing import Any

from shared.api.errors import RefusedParameter


def forced_function(given: dict[str, Any]) -> dict[str, Any]:
    """Remove `tools` and `tool_choice` of a chat from the parameters, and return them as fields of a query.

    Raises RefusedParameter for any function that the model may choose by itself.
    """
    if not given.get("tools"):
        return {}
    tools, choice = given.pop("tools"), given.pop("tool_choice", "auto")
    match tools:
        case [{"type": "function", "function": {"name": str(name), **function}}] if _forces(choice, name):
            schema = function.get("parameters", {"type": "object"})
            if isinstance(schema, dict) and not function.keys() - {"parameters", "description", "strict"}:
                described = {} if function.get("description") is None else {"description": function["description"]}
                return {"outputSchema": {**described, **schema}, "answerTool": name}
        case _:
            pass
    raise RefusedParameter("tools", "supported is one function that tool_choice forces, for a structured answer")


def _forces(choice: Any, name: str) -> bool:
    return choice in ("required", {"type": "function", "function": {"name": name}})
