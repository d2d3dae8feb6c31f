"""The object store that holds the bytes of files: a local directory or an S3 bucket, by FILES_URL."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, cast

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from shared.configuration.files_address import FilesFields, directory_of

# Bytes of a part of an upload: S3's smallest. Parts in flight bound the memory of an upload.
_PART, _PARTS_IN_FLIGHT = 5 << 20, 2
# Bytes that are read in one request, and those of a piece that a reader gets. The library's time limit is for a whole
# request, so that a reader that takes its time needs many.
_READ, _PIECE = 1 << 22, 1 << 18
# Seconds. The library's own limits are minutes; a request of a client does not wait for so long.
_CLIENT = {"timeout": "60s", "connect_timeout": "3s"}
_RETRIES: Any = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=15),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}

StoreError = (BaseError, OSError)
"""The errors of an object store that does not answer, refuses a request or does not have an object."""

Feed = Callable[[Callable[[bytes], Awaitable[None]]], Awaitable[None]]
"""Passes all pieces of a file to a function."""


class Objects:
    """The objects of one FILES_URL."""

    def __init__(self, url: str, aws: dict[str, str]) -> None:
        self._directory: Path | None = None
        self._store: Any
        if url.startswith("file:"):
            self._directory = Path(directory_of(url)).absolute()
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._store = LocalStore(self._directory)
        else:
            self._store = _s3(url, aws)

    @property
    def can_presign(self) -> bool:
        """Whether clients can reach an object by a URL of its own."""
        return self._directory is None

    async def write(self, path: str, feed: Feed, media_type: str) -> None:
        """Store the pieces that `feed` passes on as one object, which exists only when all of them are written."""
        attributes: Any = None
        if self._directory is None:
            attributes = {"Content-Type": media_type, "Content-Disposition": "attachment"}
        writer = obstore.open_writer_async(
            self._store, path, buffer_size=_PART, max_concurrency=_PARTS_IN_FLIGHT, attributes=attributes
        )
        # Without `close` the library discards what it has written.
        await feed(cast("Callable[[bytes], Awaitable[None]]", writer.write))
        await writer.close()

    async def size(self, path: str) -> int | None:
        """Return the size of an object; None when there is none."""
        try:
            found = await obstore.head_async(self._store, path)
        except FileNotFoundError:
            return None
        return int(found["size"])

    async def read(self, path: str, first: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Return the pieces of an object from byte `first` up to, not including, `end`, by default all that follow.

        Raises FileNotFoundError before the first piece when there is no such object.
        """
        if end is None:
            end = await self.size(path)
            if end is None:
                raise FileNotFoundError(path)
        part = await self._part(path, first, end)

        async def pieces() -> AsyncIterator[bytes]:
            nonlocal first, part
            while part:
                for start in range(0, len(part), _PIECE):
                    yield part[start : start + _PIECE]
                first += len(part)
                part = await self._part(path, first, end)

        return pieces()

    async def _part(self, path: str, first: int, end: int) -> bytes:
        if first >= end:
            return b""
        return bytes(await obstore.get_range_async(self._store, path, start=first, end=min(end, first + _READ)))

    async def presign(self, path: str, method: Any, seconds: int) -> str:
        """Return a URL with which anybody can read (GET) or write (PUT) an object for so long."""
        return str(await obstore.sign_async(self._store, method, path, timedelta(seconds=seconds)))

    async def remove(self, path: str) -> None:
        """Remove an object, if there is one, and what a killed process has left of an upload to it."""
        with suppress(FileNotFoundError):
            await obstore.delete_async(self._store, path)
        if self._directory is not None:
            whole = self._directory / path
            for part in whole.parent.glob(f"{whole.name}#*"):
                part.unlink(missing_ok=True)

    async def every(self, prefix: str) -> AsyncIterator[list[tuple[str, float]]]:
        """Yield the paths below a prefix, with the time of the last change in s since the epoch, in groups."""
        async for group in obstore.list(self._store, prefix, chunk_size=500):
            yield [(one["path"], one["last_modified"].timestamp()) for one in group]
        if self._directory is not None:
            left = [part for part in (self._directory / prefix).glob("*#*") if part.is_file()]
            yield [(f"{prefix}/{part.name.partition('#')[0]}", part.stat().st_mtime) for part in left]


def _s3(url: str, aws: dict[str, str]) -> S3Store:
    config: Any = {name.lower(): value for name, value in aws.items()}
    client: Any = dict(_CLIENT)
    if aws.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        client["allow_http"] = True
    return S3Store.from_url(url, config=config, client_options=client, retry_config=_RETRIES)


@cache
def _opened(url: str, aws: tuple[tuple[str, str], ...]) -> Objects:
    return Objects(url, dict(aws))


def objects(settings: FilesFields) -> Objects:
    """Return the object store of this deployment."""
    return _opened(settings.files_url, tuple(settings.aws.items()))
