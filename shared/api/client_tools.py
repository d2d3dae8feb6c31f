"""The tools of a client, as the compat APIs translate them into fields of a query."""

import re
from collections.abc import Sequence
from typing import Any

NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
"""The names of tools, and the ids of their calls, that Claude accepts."""


def tool(name: str, description: str | None, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a tool as the Messages API describes it."""
    described = {} if description is None else {"description": description}
    return {"name": name, **described, "input_schema": {"type": "object", **schema}}


def repeated(tools: Sequence[dict[str, Any]]) -> int | None:
    """Return the place of the first tool whose name an earlier one has; None when there is none."""
    names = [one["name"] for one in tools]
    return next((number for number, name in enumerate(names) if name in names[:number]), None)


def as_answer(forced: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a query whose structured answer is the input of its only, forced tool."""
    described = {"description": forced["description"]} if "description" in forced else {}
    return {"outputSchema": {**described, **forced["input_schema"]}, "answerTool": forced["name"]}
