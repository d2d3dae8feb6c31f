"""Store the bytes of a file: counted, hashed and bounded while they pass."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from shared.files.media import HEAD, seen_in
from shared.files.objects import Objects


class FileTooLargeError(Exception):
    """More bytes came than the file may have."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What was stored; `kind` is the attachable media type that the bytes have, or ""."""

    size: int
    sha256: str
    kind: str


async def store(
    objects: Objects,
    path: str,
    pieces: AsyncIterator[bytes],
    *,
    most: int,
    media_type: str,
    on_piece: Callable[[], Awaitable[None]] | None = None,
) -> Stored:
    """Store at most so many bytes as one object; raises FileTooLargeError, and then stores nothing."""
    digest = hashlib.sha256()
    size, head = 0, b""

    async def feed(write: Callable[[bytes], Awaitable[None]]) -> None:
        nonlocal size, head
        async for piece in pieces:
            if not piece:
                continue
            size += len(piece)
            if size > most:
                raise FileTooLargeError
            if len(head) < HEAD:
                head += piece[: HEAD - len(head)]
            digest.update(piece)
            await write(piece)
            if on_piece is not None:
                await on_piece()

    await objects.write(path, feed, media_type)
    return Stored(size, digest.hexdigest(), seen_in(head))


def awaited(path: str) -> str:
    """Return where a presigned upload puts its bytes. They are copied, so that no later write changes a ready file."""
    return f"{path}.upload"


async def adopt(objects: Objects, path: str, size: int, media_type: str) -> Stored | None:
    """Copy the bytes of a presigned upload to where a ready file has them; None when they are not there.

    Bytes that are more or fewer than were announced are not the file.
    """
    if await objects.size(awaited(path)) != size:
        return None
    try:
        stored = await store(
            objects, path, await objects.read(awaited(path), 0, size), most=size, media_type=media_type
        )
    except (FileNotFoundError, FileTooLargeError):
        return None
    return stored if stored.size == size else None
