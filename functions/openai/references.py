"""Items of earlier responses that a request names by their ids instead of repeating them."""

import asyncio
import re
from typing import Any

from functions.openai import service, views
from shared.api.errors import NotFound, RefusedParameter
from shared.configuration.settings import CommonSettings

# Responses that one request may refer to: each is a read of the store.
_MOST = 100
_ITEM = re.compile(r"(msg|fc|mcp)_([0-9a-f-]{36})(?:_\d{1,4})?")


async def resolved(given: Any, *, caller: str, settings: CommonSettings) -> Any:
    """Return `input` with the items in the places of their references; raises RefusedParameter."""
    if not isinstance(given, list):
        return given
    jobs = {number: _job(item, number) for number, item in enumerate(given) if _is_reference(item)}
    names = list(dict.fromkeys(jobs.values()))
    if len(names) > _MOST:
        raise RefusedParameter("input", f"should refer to items of at most {_MOST} responses", "invalid_value")
    outputs = dict(zip(names, await asyncio.gather(*(_output(name, caller, settings) for name in names)), strict=True))
    return [_item(item, number, outputs[jobs[number]]) if number in jobs else item for number, item in enumerate(given)]


def _is_reference(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "item_reference"


def _job(item: dict[str, Any], number: int) -> str:
    name = item.get("id")
    found = _ITEM.fullmatch(name) if isinstance(name, str) else None
    if found is None:
        raise _unknown(number)
    return found[2]


async def _output(job_id: str, caller: str, settings: CommonSettings) -> list[dict[str, Any]]:
    try:
        found = await service.find(job_id, caller=caller, settings=settings)
    except NotFound:
        return []
    output: list[dict[str, Any]] = views.response_of(found.job, found.request, model=None)["output"]
    return output


def _item(item: dict[str, Any], number: int, output: list[dict[str, Any]]) -> dict[str, Any]:
    if item["id"].startswith("mcp_") and output:
        return {"type": "mcp_call"}
    is_text = item["id"].startswith("msg_")
    for one in output:
        # The stream of a response that ran twice gives its text another number.
        if one["id"] == item["id"] or (is_text and one["type"] == "message"):
            return one
    raise _unknown(number)


def _unknown(number: int) -> RefusedParameter:
    return RefusedParameter(f"input[{number}].id", "names no item of a response that is kept", "invalid_value")
