"""`image` and `document` blocks of Anthropic's API, as attachments of a query."""

from typing import Any

from functions.anthropic.parameters import UNSUPPORTED, refused

_KINDS = ("image", "document")
# Fields that change no answer: marks of the prompt cache, and citations that are off.
_NO_EFFECT: dict[str, tuple[Any, ...]] = {"citations": ({"enabled": False},)}


def is_attachment(block: Any) -> bool:
    """Return whether a block of a message is an image or a document."""
    return isinstance(block, dict) and block.get("type") in _KINDS


def attachment(block: dict[str, Any], place: str) -> dict[str, Any]:
    """Return an image or a document as an attachment; raises InvalidRequest, which names the place of the error."""
    for name, value in block.items():
        if name in {"type", "source", "cache_control"} or value is None or value in _NO_EFFECT.get(name, ()):
            continue
        raise refused(f"{place}.{name[:60]}", UNSUPPORTED)
    match block.get("source"):
        case {"type": "base64", "media_type": str(media_type), "data": str(data), **rest} if not rest:
            return {"mediaType": media_type, "data": data}
        case {"type": "file", "file_id": str(file_id), **rest} if not rest:
            return {"fileId": file_id}
        case _:
            raise refused(
                f"{place}.source", "should be of the type base64 with media_type and data, or file with file_id"
            )


def place_of(messages: Any, number: int) -> str | None:
    """Return the place of an attachment of a query, which counts those of all messages."""
    for place, message in enumerate(messages if isinstance(messages, list) else ()):
        content = message.get("content") if isinstance(message, dict) else None
        for inside, block in enumerate(content if isinstance(content, list) else ()):
            if is_attachment(block):
                number -= 1
                if number < 0:
                    return f"messages/{place}/content/{inside}/source"
    return None
