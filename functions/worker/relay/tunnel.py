"""Passes the bytes of a TLS connection both ways, once it has named the host that it was made for."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from functions.worker.relay.client_hello import ALERT, MAX_HELLO, NotTlsError, server_name
from functions.worker.relay.dialing import Streams
from functions.worker.relay.egress import Connection, Egress, EgressError

# Seconds until the first message of TLS, and without a byte in either direction.
_HELLO_WITHIN, IDLE = 10.0, 300.0
_PIECE = 65_536


async def tunnel(near: Streams, far: Streams, egress: Egress, connection: Connection) -> None:
    """Pass bytes between the run, `near`, and its target until both have ended; raise EgressError."""
    try:
        hello = await _hello(near[0], connection.host)
    except EgressError:
        send(near[1], ALERT)
        raise
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(IDLE) as idle:

            def passed(size: int) -> None:
                if not idle.expired():
                    idle.reschedule(loop.time() + IDLE)
                egress.spend(size)

            def sent(size: int) -> None:
                connection.sent += size
                passed(size)

            def received(size: int) -> None:
                connection.received += size
                passed(size)

            await _both(_copy(near[0], far[1], sent, hello), _copy(far[0], near[1], received))
    except TimeoutError:
        raise EgressError(504, "idle", f"No byte within {IDLE:.0f} s") from None
    except OSError:
        raise EgressError(502, "failed", "The connection was cut") from None


async def _hello(reader: asyncio.StreamReader, host: str) -> bytes:
    """Return the first bytes of the run, which name the host that it may reach."""
    data = b""
    try:
        async with asyncio.timeout(_HELLO_WITHIN):
            while (name := server_name(data)) is None:
                piece = await reader.read(MAX_HELLO - len(data))
                if not piece:
                    raise EgressError(400, "closed", "The run closed the connection")
                data += piece
    except ConnectionError:
        raise EgressError(400, "closed", "The run closed the connection") from None
    except TimeoutError:
        raise EgressError(408, "refused", "No TLS ClientHello in time") from None
    except NotTlsError:
        raise EgressError(403, "refused", "Not a TLS connection with a server name") from None
    if name != host:
        raise EgressError(403, "refused", "The TLS server name is not the host of CONNECT")
    return data


async def _copy(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, count: Callable[[int], None], piece: bytes = b""
) -> None:
    """Pass on bytes until the source ends; a target that reads slowly slows the source down."""
    piece = piece or await source.read(_PIECE)
    while piece:
        count(len(piece))
        if not send(target, piece):
            raise ConnectionResetError
        await target.drain()
        piece = await source.read(_PIECE)
    end(target)


def send(target: asyncio.StreamWriter, data: bytes) -> bool:
    """Write bytes, and return whether that is still possible: uvloop raises RuntimeError for a closed connection."""
    is_open = not target.transport.is_closing()
    if is_open:
        target.write(data)
    return is_open


def end(target: asyncio.StreamWriter) -> None:
    """Write the end of a direction, if that is still possible."""
    if not target.transport.is_closing():
        target.write_eof()


async def _both(*works: Coroutine[Any, Any, None]) -> None:
    """Run coroutines until all have ended, or one has raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
