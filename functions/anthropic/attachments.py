"""`image` and `document` blocks of Anthropic's API, as attachments of a query."""

from typing import Any

from functions.anthropic.parameters import refused

_KINDS = ("image", "document")


def is_attachment(block: Any) -> bool:
    """Return whether a block of a message is an image or a document."""
    return isinstance(block, dict) and block.get("type") in _KINDS


def attached(content: Any, place: str) -> list[dict[str, Any]]:
    """Return the images and documents of a message's content as attachments."""
    blocks = enumerate(content) if isinstance(content, list) else ()
    return [_attachment(block, f"{place}.{number}") for number, block in blocks if is_attachment(block)]


def _attachment(block: dict[str, Any], place: str) -> dict[str, Any]:
    for name, value in block.items():
        if value is not None and name not in {"type", "source"}:
            raise refused(f"{place}.{name[:60]}", "not supported; remove it")
    match block.get("source"):
        case {"type": "base64", "media_type": str(media_type), "data": str(data), **rest} if not rest:
            return {"mediaType": media_type, "data": data}
        case {"type": "file", "file_id": str(file_id), **rest} if not rest:
            return {"fileId": file_id}
        case _:
            raise refused(
                f"{place}.source", "should be of the type base64 with media_type and data, or file with file_id"
            )
