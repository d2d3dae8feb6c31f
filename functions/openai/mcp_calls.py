"""Calls of the deployment's MCP servers as items of OpenAI's API. The gateway has made them: no client repeats one."""

import json
from collections.abc import Container, Iterable, Iterator
from typing import Any

# Steps of a job whose calls are items; `GET /api/query/{jobId}/steps` has all.
MOST_STEPS = 100
_PREFIX = "mcp__"


def is_call(step: dict[str, Any], functions: Container[str]) -> bool:
    """Return whether a step is a call of an MCP server, and of none of the client's `functions`.

    Items for other tools would ask the client to run them.
    """
    tool = step["tool"]
    is_mcp = tool is not None and tool.startswith(_PREFIX) and "__" in tool.removeprefix(_PREFIX)
    return is_mcp and tool not in functions


def items(
    job_id: str, steps: Iterable[dict[str, Any]], functions: Container[str], *, ended: bool
) -> Iterator[dict[str, Any]]:
    """Yield the items of a job's calls, in the order in which they began. None is in progress after the job's end."""
    for number, step in enumerate(step for step in steps if is_call(step, functions)):
        yield item(job_id, number, lost(step) if ended and step["status"] == "started" else step)


def lost(step: dict[str, Any]) -> dict[str, Any]:
    """Return the step of a call whose run is over."""
    return {**step, "status": "failed"}


def item(job_id: str, number: int, step: dict[str, Any]) -> dict[str, Any]:
    """Write a call as an output item, with input and output of its step; `truncated` says that a part is left out."""
    server, _, name = step["tool"].removeprefix(_PREFIX).partition("__")
    status = {"started": "in_progress", "completed": "completed"}.get(step["status"], "failed")
    text = step["output"] or ""
    failure = [{"type": "text", "text": text or "The call did not end"}]
    return {
        "id": item_id(job_id, number),
        "type": "mcp_call",
        "status": status,
        "server_label": server,
        "name": name,
        "arguments": arguments(step),
        "output": text if status == "completed" else None,
        "error": {"type": "mcp_tool_execution_error", "content": failure} if status == "failed" else None,
        "approval_request_id": None,
        **({"truncated": True} if step["truncated"] else {}),
    }


def item_id(job_id: str, number: int) -> str:
    """Return the id of the item of a call."""
    return f"mcp_{job_id}_{number}"


def arguments(step: dict[str, Any]) -> str:
    """Return the input of a call as text."""
    return json.dumps(step["input"], ensure_ascii=False)
