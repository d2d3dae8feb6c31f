"""Images and files of a message of OpenAI's API, as attachments of a query."""

import re
from typing import Any

from shared.api.errors import RefusedParameter
from shared.files.media import ATTACHABLE

_KINDS = ("input_image", "input_file")
_DATA_URL = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,(.*)", re.DOTALL)
_FORMS = f"should be data:TYPE;base64,DATA with one of the types {', '.join(ATTACHABLE)}; or send file_id"
# Fields that change nothing here.
_IGNORED = {"input_image": ("detail",), "input_file": ("filename",)}
_CONTENT = {"input_image": "image_url", "input_file": "file_data"}


def is_attachment(part: Any) -> bool:
    """Return whether a part of a message is an image or a file."""
    return isinstance(part, dict) and part.get("type") in _KINDS


def attached(content: Any, where: str) -> list[dict[str, Any]]:
    """Return the images and files of a message's content as attachments."""
    parts = enumerate(content) if isinstance(content, list) else ()
    return [_attachment(part, f"{where}[{place}]") for place, part in parts if is_attachment(part)]


def place_of(content: Any, inside: list[str]) -> list[str]:
    """Return the place in a message's content of what is at a place in the attachments of the query."""
    if not inside or not isinstance(content, list):
        return []
    places = [place for place, part in enumerate(content) if is_attachment(part)]
    number = int(inside[0]) if inside[0].isdecimal() else 0
    if number >= len(places):
        return []
    part = content[places[number]]
    return [str(places[number]), "file_id" if part.get("file_id") else _CONTENT[part["type"]]]


def _attachment(part: dict[str, Any], where: str) -> dict[str, Any]:
    kind = part["type"]
    field = _CONTENT[kind]
    for name, value in part.items():
        if value is not None and name not in {"type", "file_id", field, *_IGNORED[kind]}:
            raise RefusedParameter(f"{where}.{name[:60]}", "not supported; remove it")
    file_id, data = part.get("file_id"), part.get(field)
    if (file_id is None) == (data is None):
        raise RefusedParameter(where, f"should have one of file_id and {field}")
    if file_id is not None:
        return {"fileId": file_id}
    found = _DATA_URL.fullmatch(data) if isinstance(data, str) else None
    if found is None or found[1] not in ATTACHABLE:
        raise RefusedParameter(f"{where}.{field}", _FORMS, "invalid_value")
    return {"mediaType": found[1], "data": found[2]}
