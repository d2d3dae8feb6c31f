"""Requests that continue a response with functions: its items precede the new ones, since it keeps no session."""

import json
from collections.abc import Iterator
from typing import Any

from functions.openai import service, views
from functions.openai.requests import PREFIX, ResponseRequest
from functions.openai.tools import call_of
from shared.api.errors import NotFound, PayloadTooLarge, RefusedParameter
from shared.api.turns import NO_QUERY, QUERY
from shared.configuration.settings import SubmitSettings

_PLACE, _CODE = "previous_response_id", "previous_response_not_found"


async def with_earlier_items(
    body: ResponseRequest, *, caller: str, settings: SubmitSettings
) -> tuple[ResponseRequest, str | None]:
    """Return a body with the items of the response that it continues, and that response's job.

    A body that continues nothing, or a session, is returned unchanged.
    """
    previous = (body.model_extra or {}).get(_PLACE)
    if not isinstance(previous, str):
        return body, None
    try:
        found = await service.find(previous, caller=caller, settings=settings)
    except NotFound:
        return body, None  # the error is that of a session
    if "itemChain" not in found.request:
        return body, None
    if found.job.result is None:
        raise RefusedParameter(_PLACE, "this response has not completed", _CODE)
    if found.request.get("attachments"):
        raise RefusedParameter(_PLACE, "this response has functions and attachments; send all items as input", _CODE)
    new = body.input
    items = [*_items(found.request), *views.response_of(found.job, found.request, model=None)["output"]]
    items += [_message("user", new)] if isinstance(new, str) else new if isinstance(new, list) else []
    if len(json.dumps(items, ensure_ascii=False).encode("utf-8", "replace")) > settings.max_body_bytes:
        raise PayloadTooLarge(f"The conversation exceeds MAX_BODY_BYTES = {settings.max_body_bytes} bytes")
    wrong = new is not None and not isinstance(new, str | list)
    given = {"input": new if wrong or not new else items, _PLACE: None}
    return body.model_copy(update=given), previous.removeprefix(PREFIX)


def _items(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the turns of a stored request as items."""
    turns = list(request.get("history", ()))
    if not turns or not any(block in (QUERY, NO_QUERY) for block in turns[-1]["content"]):
        turns.append({"role": "user", "content": [QUERY]})
    for turn in turns:
        for block in turn["content"]:
            match block:
                case {"type": "text", "text": text}:
                    yield _message(turn["role"], text)
                case {"type": "query"}:
                    yield _message("user", request["query"])
                case {"type": "tool_use"}:
                    yield {"type": "function_call", **call_of(block)}
                case {"type": "tool_result"}:
                    output = block.get("content", "")
                    yield {"type": "function_call_output", "call_id": block["tool_use_id"], "output": output}
                case _:
                    pass


def _message(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": text}
