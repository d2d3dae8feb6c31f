"""JSON-RPC messages of an MCP server: split, bounded and parsed. What a server writes may be hostile."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from mcp.types import (
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)

from functions.worker.json_values import count_values

Message = JSONRPCRequest | JSONRPCNotification | JSONRPCResponse | JSONRPCError

# Bytes of one message, and of one line that is skipped before its server is ended.
LARGEST, _MOST_SKIPPED = 8 << 20, 64 << 20
# Separators in one message: a parsed list of small objects takes fifty times the memory of its text.
MOST_VALUES = 500_000
# Bytes at either end of a skipped line that are kept, to find out which request it answers.
_EDGE = 256
_VERSION = rb'"jsonrpc"\s*:\s*"2\.0"'
_ID_FIRST = re.compile(rb"\s*\{\s*(?:" + _VERSION + rb'\s*,\s*)?"id"\s*:\s*(\d{1,15})\s*[,}]')
_ID_LAST = re.compile(rb',\s*"id"\s*:\s*(\d{1,15})\s*(?:,\s*' + _VERSION + rb"\s*)?\}\s*\Z")


class Unreadable(NamedTuple):
    """A message that cannot be passed on, and the id of the request that it answers, if that can be known."""

    id: int | str | None
    reason: str
    too_large: bool = False


class EndlessLineError(Exception):
    """A server writes a line that does not end."""


class Lines:
    """Splits what a server writes into lines; keeps no more than the edges of a line that is too long."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._head = b""
        self._skipped = 0

    def feed(self, chunk: bytes) -> Iterator[bytes | Unreadable]:
        """Yield the lines that a chunk completes; raise EndlessLineError."""
        first, *others = chunk.split(b"\n")
        self._add(first)
        for part in others:
            yield self._take()
            self._add(part)

    def _add(self, part: bytes) -> None:
        self._line += part
        if len(self._line) > LARGEST or self._skipped:
            self._head = self._head or bytes(self._line[:_EDGE])
            self._skipped += max(0, len(self._line) - _EDGE)
            del self._line[:-_EDGE]
            if self._skipped > _MOST_SKIPPED:
                raise EndlessLineError

    def _take(self) -> bytes | Unreadable:
        line, head, skipped = bytes(self._line), self._head, self._skipped
        self._line.clear()
        self._head, self._skipped = b"", 0
        return too_large(_id(head, line)) if skipped else line


def too_large(request_id: int | str | None) -> Unreadable:
    """Return what stands for a message that is too large."""
    return Unreadable(request_id, f"The result is larger than {LARGEST >> 20} MiB and was discarded", True)


def parse(line: bytes) -> Message | Unreadable:
    """Parse one message; as the CLI does, read invalid UTF-8 and lone surrogates as U+FFFD."""
    if count_values(line) > MOST_VALUES:
        return too_large(_id(line[:_EDGE], line[-_EDGE:]))
    try:
        return jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError:
        pass
    try:
        return jsonrpc_message_adapter.validate_json(_json(json.loads(line.decode("utf-8", "replace"))), by_name=False)
    except (ValueError, RecursionError):
        return Unreadable(_id(line[:_EDGE], line[-_EDGE:]), "The server answered with an invalid message")


def dump(message: Message) -> bytes:
    """Return a message as a server reads it, on one line."""
    return _json(message.model_dump(by_alias=True, exclude_unset=True)) + b"\n"


def _json(value: Any) -> bytes:
    """Return a value as JSON in UTF-8, which has no lone surrogates."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def finite(value: Any) -> Any:
    """Return a value without NaN and infinite numbers: the SDK would write them, and the CLI cannot read them."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return json.loads(json.dumps(value), parse_constant=lambda _: None)
    return value


def finite_error(error: ErrorData) -> ErrorData:
    """Return an error whose data is finite."""
    return error.model_copy(update={"data": finite(error.data)})


def allow_large_results(result: dict[str, Any]) -> None:
    """Add to a list of tools that the CLI may show the model their results up to a size that it does not by default."""
    tools = result.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict):
            meta = tool.get("_meta")
            tool["_meta"] = {"anthropic/maxResultSizeChars": 500_000} | (meta if isinstance(meta, dict) else {})


def _id(head: bytes, tail: bytes) -> int | None:
    """Return the id of an answer whose text is not parsed, from the places where servers write it."""
    found = _ID_FIRST.match(head) or _ID_LAST.search(tail)
    return int(found[1]) if found else None
