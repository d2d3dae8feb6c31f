"""`tool_use` and `tool_result` blocks of messages of Anthropic's API."""

from typing import Any

from functions.anthropic.parameters import UNSUPPORTED, refused
from shared.api.client_tools import NAME
from shared.api.turns import Block

_KINDS = {"assistant": "tool_use", "user": "tool_result"}
_FIELDS = {"tool_use": {"type", "id", "name", "input"}, "tool_result": {"type", "tool_use_id", "content", "is_error"}}
# Where a prompt is cached, and that the model itself called the tool.
_NO_EFFECT: dict[str, tuple[Any, ...]] = {"caller": ({"type": "direct"},)}


def is_tool_block(block: Any, role: str) -> bool:
    """Return whether a block is one that messages of a role may have."""
    return isinstance(block, dict) and block.get("type") == _KINDS[role]


def tool_block(block: dict[str, Any], place: str) -> Block:
    """Return a call or a result; raises InvalidRequest, which names the place of the error."""
    kind = block["type"]
    for name, value in block.items():
        if name in _FIELDS[kind] or name == "cache_control" or value is None or value in _NO_EFFECT.get(name, ()):
            continue
        raise refused(f"{place}.{name[:60]}", UNSUPPORTED)
    return _call(block, place) if kind == "tool_use" else _result(block, place)


def _call(block: dict[str, Any], place: str) -> Block:
    name, given = block.get("name"), block.get("input")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise refused(f"{place}.name", "should be 1 to 128 letters, digits, _ and -")
    if not isinstance(given, dict):
        raise refused(f"{place}.input", "should be an object")
    return {"type": "tool_use", "id": _id(block, "id", place), "name": name, "input": given}


def _result(block: dict[str, Any], place: str) -> Block:
    failed = block.get("is_error")
    if not isinstance(failed, bool | None):
        raise refused(f"{place}.is_error", "should be true or false")
    result: Block = {"type": "tool_result", "tool_use_id": _id(block, "tool_use_id", place)}
    content = block.get("content")
    if content is not None:
        result["content"] = _content(content, f"{place}.content")
    return {**result, "is_error": True} if failed else result


def _content(content: Any, place: str) -> str | list[Block]:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise refused(place, "should be text")
    texts: list[Block] = []
    for number, part in enumerate(content):
        match part:
            case {"type": "text", "text": str(words), **rest} if not rest.keys() - {"cache_control", "citations"}:
                texts.append({"type": "text", "text": words})
            case _:
                raise refused(f"{place}.{number}", "should be a text block; no other is supported in a tool_result")
    return texts


def _id(block: dict[str, Any], name: str, place: str) -> str:
    value = block.get(name)
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise refused(f"{place}.{name}", "should be 1 to 128 letters, digits, _ and -")
    return value
