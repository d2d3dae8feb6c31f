"""Callers' files as the API takes them and shows them."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StrictInt, StrictStr

from shared.api.models import Wire
from shared.api.requests import Body
from shared.files.media import is_type

MAX_NAME = 255
"""Bytes of UTF-8 that a file's name may have."""

_NAME = r"^[^/\\\x00-\x1f\x7f]+$"
_WRONG_NAME = f"should be 1 to {MAX_NAME} bytes of UTF-8, without slashes, backslashes and control characters"


def check_name(name: str) -> str:
    """Return a name that a file can have; raise ValueError for any other."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:  # a lone surrogate
        size = 0
    # In a download the name becomes the name of a file.
    if not 1 <= size <= MAX_NAME or name in {".", ".."} or re.fullmatch(_NAME, name) is None:
        raise ValueError(_WRONG_NAME)
    return name


def _media_type(text: str) -> str:
    if not is_type(text):
        raise ValueError("should be a media type without parameters, such as application/pdf")
    return text.lower()


def _integral(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


class PresignRequest(Body):
    """A file that the client will send to the object store itself."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "report.pdf", "size": 52_430_000}]})

    name: Annotated[StrictStr, AfterValidator(check_name)] = Field(
        description=f"At most {MAX_NAME} bytes of UTF-8, without slashes and control characters.",
        json_schema_extra={"minLength": 1, "maxLength": MAX_NAME, "pattern": _NAME},
    )
    size: Annotated[StrictInt, BeforeValidator(_integral)] = Field(
        ge=0, description="Bytes that will be sent, at most MAX_FILE_BYTES. The file is usable only with this size."
    )
    media_type: Annotated[StrictStr, AfterValidator(_media_type)] | None = Field(
        None, description="By default the one that the name implies."
    )


class FileUpload(Wire):
    """The request by which the client sends the bytes of a file to the object store."""

    method: str
    url: str
    headers: dict[str, str]
    expires_at: str


class FileView(Wire):
    """A file; `sha256` is null until the gateway has read the bytes of a presigned upload."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "fileId": "019a9c3e-5a70-7d13-8a0f-54d1c6a0e8b1",
                    "name": "data.csv",
                    "size": 12,
                    "sha256": "98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4",
                    "mediaType": "text/csv",
                    "createdAt": "2026-01-31T12:00:00.000Z",
                    "expiresAt": "2026-02-07T12:00:00.000Z",
                }
            ]
        }
    )

    file_id: str
    name: str
    size: int
    sha256: str | None
    media_type: str
    created_at: str
    expires_at: str
    upload: FileUpload | None = Field(
        None,
        exclude_if=lambda upload: upload is None,
        description="Only in the response to `?upload=presigned`: how the client sends the bytes.",
    )


class FilePage(Wire):
    """A page of a caller's files, newest first; `nextCursor` is null on the last."""

    files: list[FileView]
    next_cursor: str | None
