"""The built-in demo model: a small Messages API on loopback, for trying a gateway without credentials.

`python -m local.demo_model --port PORT` prints the line `listening http://127.0.0.1:PORT` on standard output when it
accepts connections, and ends on SIGTERM, SIGINT or the death of its parent.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from local import demo_answers
from local.demo_instances import minimal_instance
from local.demo_script import ERROR_TYPES, Script, script_of
from local.messages_api import (
    Answer,
    Block,
    JsonObject,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    Usage,
    answer_body,
    answer_events,
    encode_event,
    error_body,
    query_of,
    tool_results,
)
from shared.host.processes import end_with_parent

MODEL = "demo-model"

# Slow enough to be visible as streaming; at most 24 chunks take less than half a second.
_PAUSE_S = 0.02
_STRUCTURED_OUTPUT = "StructuredOutput"
_SHOWN = 300


def compose(request: JsonObject) -> Answer:
    """Compose the answer to a request, following the instructions of its query if it has any."""
    script = script_of(query_of(request))
    results = tool_results(request)
    if not script.problem and len(results) < len(script.calls):
        return _answer(request, [script.calls[len(results)]])
    for tool in request.get("tools") or []:
        if tool.get("name") == _STRUCTURED_OUTPUT:
            return _answer(request, [ToolCall(_STRUCTURED_OUTPUT, minimal_instance(tool.get("input_schema")))])
    text = TextBlock(demo_answers.chunks(_text(request, script, results)))
    return _answer(request, [ThinkingBlock("The demo model has no thoughts."), text] if script.thinks else [text])


def _text(request: JsonObject, script: Script, results: list[str]) -> str:
    if script.problem:
        return f"{demo_answers.LABEL} {script.problem}."
    if script.words:
        return f"{demo_answers.LABEL} " + " ".join(f"word{number}" for number in range(1, script.words + 1))
    if results:
        shown = results[-1] if len(results[-1]) <= _SHOWN else f"{results[-1][:_SHOWN]}…"
        return f"{demo_answers.LABEL} The last of {len(results)} tool calls returned: {shown}"
    return demo_answers.answer(query_of(request))


def _answer(request: JsonObject, blocks: list[Block]) -> Answer:
    written = "".join("".join(block.chunks) if isinstance(block, TextBlock) else str(block) for block in blocks)
    return Answer(MODEL, blocks, Usage(_prompt_tokens(request), _tokens(written)))


async def messages(request: Request) -> Response:
    """`POST /v1/messages`, streamed or whole."""
    body = await _body(request)
    if body is None:
        return _malformed()
    script = script_of(query_of(body))
    if script.fails:
        message = "failure requested by a demo instruction"
        return JSONResponse(error_body(ERROR_TYPES[script.fails], message), script.fails)
    reply = compose(body)
    if body.get("stream"):
        return StreamingResponse(_paced(reply, script.seconds), media_type="text/event-stream")
    await asyncio.sleep(script.seconds)
    return JSONResponse(answer_body(reply))


async def count_tokens(request: Request) -> Response:
    """`POST /v1/messages/count_tokens`: an estimate."""
    body = await _body(request)
    return _malformed() if body is None else JSONResponse({"input_tokens": _prompt_tokens(body)})


async def models(_request: Request) -> Response:
    """`GET /v1/models`: the demo model."""
    model = {"type": "model", "id": MODEL, "display_name": "Demo model", "created_at": "2026-01-01T00:00:00Z"}
    return JSONResponse({"data": [model], "has_more": False, "first_id": MODEL, "last_id": MODEL})


app = Starlette(
    routes=[
        Route("/v1/messages", messages, methods=["POST"]),
        Route("/v1/messages/count_tokens", count_tokens, methods=["POST"]),
        Route("/v1/models", models),
    ]
)


async def _paced(reply: Answer, seconds: float) -> AsyncIterator[bytes]:
    events = list(answer_events(reply))
    deltas = sum(event["type"] == "content_block_delta" for event in events)
    pause = max(seconds / max(deltas, 1), _PAUSE_S)
    for event in events:
        if event["type"] == "content_block_delta":
            await asyncio.sleep(pause)
        yield encode_event(event)


async def _body(request: Request) -> JsonObject | None:
    try:
        body = await request.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _malformed() -> Response:
    return JSONResponse(error_body("invalid_request_error", "the request body is not a JSON object"), 400)


def _prompt_tokens(request: JsonObject) -> int:
    return _tokens(json.dumps([request.get("system"), request.get("messages")]))


def _tokens(text: str) -> int:
    return max(1, len(text) // 4)  # a token is about four characters of English


class _Server(uvicorn.Server):
    """A uvicorn server that prints its address on standard output once it accepts connections."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            print(f"listening http://{host}:{port}", flush=True)


def main() -> None:
    """Serve until SIGTERM, SIGINT or the death of the parent."""
    parser = argparse.ArgumentParser(prog="python -m local.demo_model", description="The gateway's demo model.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port; 0 picks a free one")
    parser.add_argument("--parent", type=int, default=os.getppid(), help="process to end with; default: the parent")
    options = parser.parse_args()
    # uvicorn raises the signal again after its shutdown; exit with status 0 then too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    end_with_parent(options.parent)
    listener = socket.create_server((options.host, options.port), backlog=1024)
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    with listener, contextlib.suppress(KeyboardInterrupt):
        _Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
