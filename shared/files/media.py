"""Media types of files: what a client declares, what a name implies, and what the first bytes show."""

import mimetypes
import re
from functools import cache

BINARY = "application/octet-stream"
ATTACHABLE = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf")
"""The media types that the model can be shown."""

# Bytes from the start of a file that `seen_in` looks at.
HEAD = 16
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,62}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,62}")
# What clients send when nobody has chosen a type; the first is the default of `curl --data-binary`.
_NOT_CHOSEN = {"", "application/x-www-form-urlencoded", BINARY}


@cache
def _names() -> mimetypes.MimeTypes:
    # At the first use: it reads files of the system, and few functions need it.
    return mimetypes.MimeTypes()


def is_type(text: str) -> bool:
    """Return whether a text is a media type without parameters."""
    return _TYPE.fullmatch(text) is not None


def seen_in(head: bytes) -> str:
    """Return the attachable media type that the first bytes of a file have; "" for any other file."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return "application/pdf" if head.startswith(b"%PDF-") else ""


def media_type(declared: str, name: str) -> str:
    """Return the media type of a file: the declared one, else the one that its name implies."""
    declared = declared.partition(";")[0].strip().lower()
    if declared not in _NOT_CHOSEN and is_type(declared):
        return declared
    guessed, encoding = _names().guess_type(name, strict=False)
    return guessed if guessed and encoding is None else BINARY
