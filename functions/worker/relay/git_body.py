"""The body of a request of git: read to its exact end, and for a push held to one branch."""

import asyncio
import re
from collections.abc import AsyncIterator

from functions.worker.relay.egress import EgressError

_PIECE = 65_536
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(;[^\r\n]*)?\r\n")
# Bytes of the list of refs that a push begins with: one ref, its capabilities and options.
_MOST_COMMANDS = 8192
_ID = rb"(?:[0-9a-f]{40}|[0-9a-f]{64})"
_COMMAND = re.compile(rb"(" + _ID + rb") (" + _ID + rb") ([^\0\n]+)(\0[^\n]*)?\n?")


async def body_of(reader: asyncio.StreamReader, headers: dict[str, str]) -> AsyncIterator[bytes]:
    """Yield the body of a request whose head has been read; raise EgressError for one that is malformed."""
    length, coding = headers.get("content-length", "0"), headers.get("transfer-encoding")
    if not re.fullmatch("[0-9]{1,15}", length) or (coding is not None and "content-length" in headers):
        raise EgressError(400, "refused", "Malformed length of the body")
    if coding is not None and coding.lower() != "chunked":
        raise EgressError(400, "refused", "Unknown coding of the body")
    if coding is None:
        async for piece in _pieces(reader, int(length)):
            yield piece
        return
    while size := await _chunk_size(reader):
        async for piece in _pieces(reader, size):
            yield piece
        if await reader.readexactly(2) != b"\r\n":
            raise EgressError(400, "refused", "Malformed chunk of the body")
    if await reader.readline() != b"\r\n":
        raise EgressError(400, "refused", "The body has trailers")


async def _pieces(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size:
        piece = await reader.read(min(size, _PIECE))
        if not piece:
            raise EgressError(400, "closed", "The connection was closed")
        size -= len(piece)
        yield piece


async def _chunk_size(reader: asyncio.StreamReader) -> int:
    found = _SIZE.fullmatch(await reader.readline())
    if found is None:
        raise EgressError(400, "refused", "Malformed chunk of the body")
    return int(found[1], 16)


async def check_push(body: AsyncIterator[bytes], branch: str) -> AsyncIterator[bytes]:
    """Yield the body of a push that updates this branch and no other ref; raise EgressError for another."""
    begun = b""
    async for piece in body:
        begun += piece
        commands = _commands(begun)
        if commands is not None:
            _check(commands, branch)
            break
    else:
        raise EgressError(400, "refused", "Malformed push")
    yield begun
    async for piece in body:
        yield piece


def _commands(begun: bytes) -> list[bytes] | None:
    """Return the lines before the first flush packet; None while it has not come. Raise EgressError."""
    found: list[bytes] = []
    at = 0
    while len(begun) >= at + 4:
        size = int(begun[at : at + 4], 16) if re.fullmatch(rb"[0-9a-fA-F]{4}", begun[at : at + 4]) else 1
        if size == 0:
            return found
        if size < 5 or at + size > _MOST_COMMANDS:
            raise EgressError(400, "refused", "Malformed push")
        found.append(begun[at + 4 : at + size])
        at += size
    return None


def _check(commands: list[bytes], branch: str) -> None:
    # The roots of a shallow repository come first. A push without any command only asks whether it would be allowed.
    updates = [line for line in commands if not line.startswith(b"shallow ")]
    wanted = f"refs/heads/{branch}".encode()
    for line in updates:
        found = _COMMAND.fullmatch(line)
        if len(updates) > 1 or found is None or found[3] != wanted or not found[2].strip(b"0"):
            raise EgressError(403, "refused", "The push is not one of the job's branch alone")
