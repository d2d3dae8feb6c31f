"""The response with the content of a file: a download that no browser runs, whole or one range."""

import re
from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote

from fastapi import Response
from fastapi.responses import StreamingResponse

from shared.api.errors import RangeNotSatisfiable

_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))")


def etag_of(sha256: str) -> str:
    """Return the entity tag of a content."""
    return f'"{sha256}"'


def headers_of(name: str, sha256: str) -> dict[str, str]:
    """Return the headers of a download: it is saved under its name, and nothing in it is run."""
    ascii_name = re.sub(r'[^ -~]|["\\%]', "_", name)
    return {
        "Content-Disposition": f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Accept-Ranges": "bytes",
        "ETag": etag_of(sha256),
        # A content never changes under its id, but a deleted file must not live on in a cache.
        "Cache-Control": "private, no-cache",
    }


def is_unchanged(headers: Mapping[str, str], sha256: str) -> bool:
    """Return whether a client has the content already."""
    known = headers.get("if-none-match", "")
    tags = {tag.strip().removeprefix("W/") for tag in known[:4096].split(",")}
    return known.strip() == "*" or etag_of(sha256) in tags


def range_of(headers: Mapping[str, str], size: int, sha256: str) -> tuple[int, int] | None:
    """Return first byte and end of the requested range; None for the whole content.

    A range of another form, several ranges, and one for another version of the file are ignored, as RFC 9110 allows.
    Raises RangeNotSatisfiable.
    """
    found = _RANGE.fullmatch(headers.get("range", "").strip())
    if found is None or headers.get("if-range", etag_of(sha256)).strip() != etag_of(sha256):
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < int(first):
            return None
    if start >= size or start >= end:
        raise RangeNotSatisfiable(f"Range: the file has {size} bytes", headers={"Content-Range": f"bytes */{size}"})
    return start, end


def download(
    pieces: AsyncIterator[bytes], headers: dict[str, str], media_type: str, size: int, part: tuple[int, int] | None
) -> Response:
    """Stream a content, or the part of it that was requested."""
    start, end = part or (0, size)
    sized = {**headers, "Content-Length": str(end - start)}
    if part is not None:
        sized["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    # Without a charset, which Starlette would add to text: the gateway does not know it.
    return StreamingResponse(pieces, 200 if part is None else 206, {**sized, "Content-Type": media_type})
