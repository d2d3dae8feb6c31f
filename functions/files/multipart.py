"""Read the one file of a `multipart/form-data` body as it arrives."""

from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from shared.api.errors import FieldError, InvalidRequest

# Bytes beside the file: boundaries, headers of the part, and what clients write before and after it.
OVERHEAD = 65_536


class MultipartFile:
    """The part `file` of a body: `open` reads up to its first byte, `pieces` yields its content."""

    def __init__(self, request: Request) -> None:
        self.name = ""
        self.media_type = ""
        self._source = request.stream()
        self._beside = 0
        self._pieces: list[bytes] = []
        self._field = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._is_open = self._is_complete = False
        _, options = parse_options_header(request.headers.get("content-type", ""))
        boundary = options.get(b"boundary", b"")
        if not boundary:
            raise _malformed("the Content-Type has no boundary")
        callbacks: Any = {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_field,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._open_part,
            "on_part_data": self._add_data,
            "on_end": self._end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError:
            raise _malformed("the boundary is too long") from None

    async def open(self) -> None:
        """Read up to the content of the file; raises InvalidRequest for a body that has none."""
        async for chunk in self._source:
            self._parse(chunk)
            if self._is_open:
                return
        raise _invalid("required")

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the content of the file; raises InvalidRequest for another part, and for a body that is cut."""
        while True:
            for piece in self._pieces:
                yield piece
            self._pieces.clear()
            chunk = await anext(self._source, b"")
            if not chunk:
                break
            self._parse(chunk)
        if not self._is_complete:
            raise _malformed("the body ends before its last boundary")

    def _parse(self, chunk: bytes) -> None:
        # What is not content, also after the last boundary.
        self._beside += len(chunk)
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise _malformed("a boundary or a header of a part is malformed") from None
        if self._beside > OVERHEAD:
            raise _malformed(f"it has more than {OVERHEAD} bytes beside the file")

    def _begin_part(self) -> None:
        if self._is_open:
            raise _invalid("should be the only part of the body")
        self._headers = {}

    def _add_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _open_part(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if options.get(b"name") != b"file":
            raise _invalid("should be the only part of the body, and have this name")
        name = options.get(b"filename", b"").decode("utf-8", "replace")
        # Some browsers send a path.
        self.name = name.replace("\\", "/").rpartition("/")[2]
        self.media_type = self._headers.get(b"content-type", b"").decode("latin-1")
        self._is_open = True

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])
        self._beside -= end - start

    def _end(self) -> None:
        self._is_complete = True


def _malformed(why: str) -> InvalidRequest:
    return _invalid(f"is not valid multipart/form-data: {why}")


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(f"file: {message}", errors=(FieldError("/file", message),))
