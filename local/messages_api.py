"""The part of the wire format of Anthropic's Messages API that the Claude CLI uses.

Pure functions. The servers that use them (the demo model, the tests' scripted model) decide about pace, faults and
headers. Source: https://docs.anthropic.com/en/api/messages and `…/messages-streaming`, verified with the bundled CLI.
"""

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.api import event_stream

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Usage:
    """Tokens of one answer, counted as by the API: `input_tokens` excludes tokens read from the cache."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0

    def as_json(self, *, output_tokens: int | None = None) -> JsonObject:
        """Return the usage object; `output_tokens` overrides the count while the answer is incomplete."""
        return {
            "input_tokens": self.input_tokens,
            "cache_creation_input_tokens": self.cache_creation_input_tokens,
            "cache_read_input_tokens": self.cache_read_input_tokens,
            "output_tokens": self.output_tokens if output_tokens is None else output_tokens,
        }


@dataclass(frozen=True)
class TextBlock:
    """A `text` block, as the chunks to stream."""

    chunks: Sequence[str]


@dataclass(frozen=True)
class ThinkingBlock:
    """A `thinking` block with its signature."""

    text: str
    signature: str = "c2lnbmF0dXJl"


@dataclass(frozen=True)
class ToolCall:
    """A `tool_use` block: the model asks the client to run a tool."""

    name: str
    input: JsonObject
    id: str = field(default_factory=lambda: f"toolu_{uuid.uuid4().hex}")


Block = TextBlock | ThinkingBlock | ToolCall


@dataclass(frozen=True)
class Answer:
    """One assistant message. The default `stop_reason` is `tool_use` or `end_turn`, depending on the blocks."""

    model: str
    blocks: Sequence[Block] = ()
    usage: Usage = Usage()
    stop_reason: str | None = None
    id: str = field(default_factory=lambda: f"msg_{uuid.uuid4().hex}")

    @property
    def final_stop_reason(self) -> str:
        """The stop reason to send."""
        calls = any(isinstance(block, ToolCall) for block in self.blocks)
        return self.stop_reason or ("tool_use" if calls else "end_turn")


def answer_events(answer: Answer) -> Iterator[JsonObject]:
    """Yield the events of a streamed answer in order, each the `data` of one server-sent event named by its `type`."""
    yield {"type": "message_start", "message": _message(answer, content=[], stop_reason=None, output_tokens=1)}
    for index, block in enumerate(answer.blocks):
        empty, deltas = _streamed(block)
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": answer.final_stop_reason, "stop_sequence": None},
        "usage": answer.usage.as_json(),
    }
    yield {"type": "message_stop"}


def _streamed(block: Block) -> tuple[JsonObject, list[JsonObject]]:
    """Return the initial form of a block and the deltas that complete it."""
    match block:
        case TextBlock(chunks):
            return {"type": "text", "text": ""}, [{"type": "text_delta", "text": chunk} for chunk in chunks]
        case ThinkingBlock(text, signature):
            deltas = [
                {"type": "thinking_delta", "thinking": text},
                {"type": "signature_delta", "signature": signature},
            ]
            return {"type": "thinking", "thinking": "", "signature": ""}, deltas
        case ToolCall(name, given, call_id):
            # The input starts empty and is sent as pieces of JSON text; one piece is enough.
            delta = {"type": "input_json_delta", "partial_json": json.dumps(given)}
            return {"type": "tool_use", "id": call_id, "name": name, "input": {}}, [delta]


def encode_event(event: JsonObject) -> bytes:
    """Encode a server-sent event."""
    return event_stream.encode_event(event["type"], json.dumps(event))


def answer_body(answer: Answer) -> JsonObject:
    """Return the body of a non-streamed answer."""
    content = [_whole(block) for block in answer.blocks]
    return _message(answer, content=content, stop_reason=answer.final_stop_reason)


def _whole(block: Block) -> JsonObject:
    match block:
        case TextBlock(chunks):
            return {"type": "text", "text": "".join(chunks)}
        case ThinkingBlock(text, signature):
            return {"type": "thinking", "thinking": text, "signature": signature}
        case ToolCall(name, given, call_id):
            return {"type": "tool_use", "id": call_id, "name": name, "input": given}


def error_body(kind: str, message: str) -> JsonObject:
    """Return the body of an error; `kind` is its type, such as `overloaded_error`."""
    return {"type": "error", "error": {"type": kind, "message": message}}


def last_user_texts(request: JsonObject) -> list[str]:
    """Return every text block of the last user message of a request, in order; none if it holds only tool results."""
    for message in reversed(_objects(request.get("messages"))):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return [content]
            texts = (block.get("text") for block in _objects(content) if block.get("type") == "text")
            return [text for text in texts if isinstance(text, str)]
    return []


def user_query(request: JsonObject) -> str:
    """Return the last text of the last user message that is not a `<system-reminder>` of the CLI, or an empty string.

    A query that looks like a reminder is returned too, because the user's text is last.
    """
    texts = last_user_texts(request)
    own = [text for text in texts if not _is_reminder(text)]
    return (own or texts or [""])[-1]


def query_of(request: JsonObject) -> str:
    """Return the user's last text, even if tool results follow it, or an empty string."""
    messages = _objects(request.get("messages"))
    for end in range(len(messages), 0, -1):
        found = user_query({"messages": messages[end - 1 : end]})
        if found and not _is_reminder(found):
            return found
    return ""


def tool_results(request: JsonObject) -> list[str]:
    """Return the texts of the tool results since the user's last text."""
    results: list[str] = []
    for message in reversed(_objects(request.get("messages"))):
        if message.get("role") != "user":
            continue
        blocks = _objects(message.get("content"))
        found = [_result_text(block) for block in blocks if block.get("type") == "tool_result"]
        if not found:
            break
        results = found + results
    return results


def _result_text(block: JsonObject) -> str:
    content = block.get("content")
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in _objects(content))


def _is_reminder(text: str) -> bool:
    # The CLI adds such blocks for models that do not accept system messages within the conversation.
    stripped = text.strip()
    return stripped.startswith("<system-reminder>") and stripped.endswith("</system-reminder>")


def _objects(value: Any) -> list[JsonObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _message(
    answer: Answer, *, content: list[JsonObject], stop_reason: str | None, output_tokens: int | None = None
) -> JsonObject:
    return {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": answer.usage.as_json(output_tokens=output_tokens),
    }
