"""The files and attachments of a query, as the API takes them."""

import base64
import binascii
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictStr, model_validator

from shared.api.ids import is_id
from shared.api.wire import Body
from shared.files.media import HEAD, seen_in

MAX_FILES, MAX_ATTACHMENTS = 100, 20
MAX_PATH, MAX_SEGMENT = 1024, 255
"""Bytes of UTF-8 of a path, and of each of its segments."""

MAX_ATTACHED = 20 << 20
"""Bytes of all attachments of a query: Claude takes requests of 32 MB, in which they are base64."""

_PATH = r"^[^/\x00-\x1f\x7f]+(/[^/\x00-\x1f\x7f]+)*$"
_WRONG_PATH = (
    f"should be a relative path of at most {MAX_PATH} bytes of UTF-8, with names of at most {MAX_SEGMENT}, "
    "without .. and control characters"
)


def check_path(path: str) -> str:
    """Return a relative path that a file can have; raise ValueError for any other."""
    segments = path.split("/")
    sizes = [len(segment.encode()) for segment in segments]
    wrong = re.fullmatch(_PATH, path) is None or {".", ".."} & set(segments)
    if wrong or max(sizes) > MAX_SEGMENT or sum(sizes) + len(sizes) - 1 > MAX_PATH:
        raise ValueError(_WRONG_PATH)
    return path


def _file_id(text: str) -> str:
    if not is_id(text):
        raise ValueError("should be the fileId of one of your files")
    return text


def _base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("should be base64, with padding and without line breaks") from None
    return text


FileId = Annotated[StrictStr, AfterValidator(_file_id), Field(json_schema_extra={"format": "uuid"})]
Base64 = Annotated[StrictStr, AfterValidator(_base64), Field(json_schema_extra={"contentEncoding": "base64"})]
MediaType = Literal["image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf"]


class JobFile(Body):
    """A file that is placed in the working directory of the run: one of yours, a text, or data."""

    path: Annotated[StrictStr, AfterValidator(check_path)] = Field(
        description=f"Relative to the working directory: at most {MAX_PATH} bytes, without `..`.",
        json_schema_extra={"minLength": 1, "maxLength": MAX_PATH, "pattern": _PATH},
    )
    file_id: FileId | None = Field(None, description="The `fileId` of an uploaded file.")
    text: StrictStr | None = Field(None, description="The content as text, written as UTF-8.")
    data: Base64 | None = Field(None, description="The content in base64.")

    @model_validator(mode="after")
    def _has_one_content(self) -> Self:
        if sum(content is not None for content in (self.file_id, self.text, self.data)) != 1:
            raise ValueError("should have one of fileId, text and data")
        return self

    @property
    def content(self) -> bytes:
        """The content in the request; for an uploaded file, nothing."""
        return base64.b64decode(self.data) if self.data is not None else (self.text or "").encode()


class Attachment(Body):
    """An image or a PDF that the model is shown with the query: one of your files, or data."""

    file_id: FileId | None = Field(None, description="The `fileId` of an uploaded file.")
    media_type: MediaType | None = Field(None, description="With `data`: its media type.")
    data: Base64 | None = Field(None, description="The content in base64.")

    @model_validator(mode="after")
    def _has_one_content(self) -> Self:
        if (self.file_id is None) != (self.data is not None and self.media_type is not None) or (
            self.file_id is not None and (self.data is not None or self.media_type is not None)
        ):
            raise ValueError("should have either fileId alone, or mediaType and data")
        if self.data is not None and seen_in(self.head) != self.media_type:
            raise ValueError(f"data: is not of the type {self.media_type}")
        return self

    @property
    def content(self) -> bytes:
        """The content in the request; for an uploaded file, nothing."""
        return base64.b64decode(self.data or "")

    @property
    def head(self) -> bytes:
        """The first bytes of the content."""
        return base64.b64decode((self.data or "")[: -(-HEAD // 3) * 4])


def _are_distinct(files: list[JobFile]) -> list[JobFile]:
    paths = {file.path for file in files}
    if len(paths) != len(files):
        raise ValueError("should have different paths")
    for path in paths:
        above = path.split("/")[:-1]
        if any("/".join(above[:depth]) in paths for depth in range(1, len(above) + 1)):
            raise ValueError("should not have a path below another file's path")
    return files


JobFiles = Annotated[list[JobFile], AfterValidator(_are_distinct), Field(max_length=MAX_FILES)]
Attachments = Annotated[list[Attachment], Field(max_length=MAX_ATTACHMENTS)]
