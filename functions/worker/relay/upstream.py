"""Sends requests to Claude with the deployment's credential, over connections that outlive runs."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import cast

from functions.worker.relay.answer import Answer, UpstreamError
from functions.worker.relay.connecting import Place
from functions.worker.relay.credential import Credential
from functions.worker.relay.heads import passed, request_head
from functions.worker.relay.upstream_connection import UpstreamConnection

# A connection that was free for longer may have been forgotten by a router on the way; s.
_FREE_FOR = 120.0
_MOST_FREE = 8


class Upstream:
    """The connections of one slot to Claude; Claude may be silent for `silence` s, before an answer and within it."""

    def __init__(self, credential: Credential, environ: Mapping[str, str], silence: float) -> None:
        self.credential = credential
        self._place = Place(credential.url, environ)
        self.silence = silence
        self._free: list[UpstreamConnection] = []
        self._preparing: asyncio.Task[None] | None = None

    async def ask(
        self, target: str, headers: Mapping[str, str], body: bytes, credential: Credential | None = None
    ) -> tuple[Answer, UpstreamConnection]:
        """Send a request and wait for the first byte of its answer; raise UpstreamError when none comes.

        The request carries the deployment's credential unless it is given another.
        """
        own = (credential or self.credential).headers(passed(headers))
        head = request_head(self._place.prefix + target, self._place.netloc, own, len(body))
        connection = await self._connection()
        answer = connection.ask(head, body)
        try:
            async with asyncio.timeout(self.silence):
                await answer.started
        except TimeoutError:
            connection.close()
            raise UpstreamError("no answer in time") from None
        except BaseException:
            connection.close()
            raise
        return answer, connection

    def prepare(self) -> None:
        """Begin to connect for a request that is about to come, unless a connection is free."""
        if self._usable() is None and (self._preparing is None or self._preparing.done()):
            self._preparing = asyncio.create_task(self._prepare())

    async def close(self) -> None:
        """Close the free connections."""
        if self._preparing is not None:
            self._preparing.cancel()
            with suppress(asyncio.CancelledError):
                await self._preparing
        for connection in self._free:
            connection.close()
        self._free.clear()

    async def _prepare(self) -> None:
        with suppress(UpstreamError):  # the request itself will say so
            self._keep(await self._connect())

    async def _connection(self) -> UpstreamConnection:
        if self._usable() is None and self._preparing is not None and not self._preparing.done():
            await asyncio.wait({self._preparing})
        connection = self._usable()
        if connection is None:
            return await self._connect()
        self._free.remove(connection)
        return connection

    def _usable(self) -> UpstreamConnection | None:
        oldest = asyncio.get_running_loop().time() - _FREE_FOR
        for connection in list(self._free):
            if not connection.is_open or connection.free_since < oldest:
                self._free.remove(connection)
                connection.close()
        return self._free[-1] if self._free else None

    async def _connect(self) -> UpstreamConnection:
        return cast("UpstreamConnection", await self._place.connect(lambda: UpstreamConnection(self._keep)))

    def _keep(self, connection: UpstreamConnection) -> None:
        connection.free_since = asyncio.get_running_loop().time()
        if len(self._free) < _MOST_FREE:
            self._free.append(connection)
        else:
            connection.close()
