"""The relay's own answer to a rehearsal: the question that warms a waiting CLI up, and that never reaches Claude."""

import json
from typing import Any

from functions.worker.relay.exchange import Reply
from functions.worker.relay.heads import answer_head

_MESSAGE: dict[str, Any] = {
    "id": "msg_rehearsal",
    "type": "message",
    "role": "assistant",
    "model": "rehearsal",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 0, "output_tokens": 0},
}
_EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": _MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ok"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 0}},
    {"type": "message_stop"},
]
_BODY = b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in _EVENTS)
_HEAD = answer_head(200, {"content-type": "text/event-stream", "content-length": str(len(_BODY))}, close=True)


def answer(reply: Reply) -> None:
    """Answer with one word, which costs nothing, and leave no connection, as a CLI that waits has none."""
    reply.write(_HEAD + _BODY)
    reply.finish(keep=False)
