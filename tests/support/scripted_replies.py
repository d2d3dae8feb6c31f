"""Replies of a scripted model."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from local.messages_api import JsonObject, Usage

A_FEW_TOKENS = Usage(input_tokens=10, output_tokens=5)


@dataclass(frozen=True)
class Text:
    """Answer with a text, whole or in chunks; delays in seconds before the first byte and between chunks.

    `model` is the name of the answering model if it differs from the requested one.
    """

    chunks: str | Sequence[str]
    delay_before: float = 0
    delay_between: float = 0
    usage: Usage = A_FEW_TOKENS
    stop_reason: str | None = None
    model: str = ""


@dataclass(frozen=True)
class Thinking:
    """A thinking block before, between or after the texts of a message."""

    text: str


@dataclass(frozen=True)
class ToolUse:
    """Ask for a tool."""

    name: str
    input: JsonObject


@dataclass(frozen=True)
class Error:
    """Refuse with an HTTP status and an error body, or, after some chunks of a stream, with its `error` event."""

    status: int
    type: str
    message: str = "scripted"
    headers: dict[str, str] = field(default_factory=dict)
    after_chunks: int = 0


@dataclass(frozen=True)
class Hang:
    """Accept the request and send nothing until the event is set; then answer `ok`."""

    until: threading.Event


@dataclass(frozen=True)
class Disconnect:
    """Cut the connection after this many chunks of text; 0, or a request without streaming, before any byte."""

    after_chunks: int
    delay_between: float = 0


@dataclass(frozen=True)
class Empty:
    """Answer with an assistant message without content."""


Reply = Text | Thinking | ToolUse | Error | Hang | Disconnect | Empty
ReplyFunction = Callable[[JsonObject], Reply | list[Reply]]
