"""Stands in for the relay until it is there: a Unix socket whose connections go to ANTHROPIC_BASE_URL."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit


class Passthrough:
    """One run's socket."""

    def __init__(self, path: Path, url: str) -> None:
        self._path, self._url = path, urlsplit(url)
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin to listen."""
        # By its directory's descriptor: the path of a socket has 107 bytes at most.
        folder = os.open(self._path.parent, os.O_PATH | os.O_CLOEXEC)
        try:
            self._server = await asyncio.start_unix_server(self._connect, f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(self._url.hostname, self._url.port)
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        writer.close()

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
