"""Images and files of a message of OpenAI's APIs, as attachments of a query."""

import re
from typing import Any

from shared.api.errors import RefusedParameter
from shared.files.media import ATTACHABLE

_DATA_URL = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,(.*)", re.DOTALL)
_FORMS = f"should be data:TYPE;base64,DATA with one of the types {', '.join(ATTACHABLE)}; or send file_id"
# Fields that change nothing here.
_IGNORED = {"detail", "filename"}
# Types of parts → the field with the data. A part of a chat has its fields in an object of the part's own name.
RESPONSE_PARTS = {"input_image": "image_url", "input_file": "file_data"}
CHAT_PARTS = {"image_url": "url", "file": "file_data"}


def is_attachment(part: Any, kinds: dict[str, str]) -> bool:
    """Return whether a part of a message is an image or a file."""
    return isinstance(part, dict) and isinstance(part.get("type"), str) and part["type"] in kinds


def attachment(part: dict[str, Any], where: str, kinds: dict[str, str]) -> tuple[dict[str, Any], str]:
    """Return an image or a file as an attachment, and the place of its content.

    Raises RefusedParameter, which names the place of the error.
    """
    kind = part["type"]
    field = kinds[kind]
    fields = {name: value for name, value in part.items() if name != "type" and value is not None}
    if kinds is CHAT_PARTS:
        _refuse_others(fields, {kind}, where)
        where += f".{kind}"
        fields = fields.get(kind)  # type: ignore[assignment]
        if not isinstance(fields, dict):
            raise RefusedParameter(where, "should be an object", "invalid_value")
        fields = {name: value for name, value in fields.items() if value is not None}
    _refuse_others(fields, {"file_id", field, *_IGNORED}, where)
    file_id, data = fields.get("file_id"), fields.get(field)
    if (file_id is None) == (data is None):
        raise RefusedParameter(where, f"should have one of file_id and {field}")
    if file_id is not None:
        return {"fileId": file_id}, f"{where}.file_id"
    found = _DATA_URL.fullmatch(data) if isinstance(data, str) else None
    if found is None or found[1] not in ATTACHABLE:
        raise RefusedParameter(f"{where}.{field}", _FORMS, "invalid_value")
    return {"mediaType": found[1], "data": found[2]}, f"{where}.{field}"


def _refuse_others(fields: dict[Any, Any], allowed: set[str], where: str) -> None:
    for name in fields:
        if name not in allowed:
            raise RefusedParameter(f"{where}.{str(name)[:60]}", "not supported; remove it")
