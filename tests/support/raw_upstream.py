"""A server that sends exactly the bytes that a test gives it, and a relay in front of it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from functions.worker.relay.credential import Credential
from functions.worker.relay.models import Allowed
from functions.worker.relay.policy import Policy
from functions.worker.relay.relay import Line, Relay
from functions.worker.relay.run import RelayedRun, Watcher
from tests.support.waiting import until_async

EVENTS = (
    {"type": "message_start", "message": {"model": "claude-opus-5-5", "usage": {"input_tokens": 10}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
)
BODY = {"model": "claude-opus-5-5", "max_tokens": 9, "stream": True, "messages": []}


def sse(*events: Any) -> bytes:
    """Return events as a stream."""
    return b"".join(b"event: %s\ndata: %s\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events or EVENTS)


def chunk(data: bytes) -> bytes:
    """Return a chunk of HTTP."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """Return an answer with the length of its body."""
    both = {"content-type": "text/event-stream", "content-length": str(len(body))}
    both |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in both.items() if value)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def error(status: int, kind: str = "api_error", **headers: str) -> bytes:
    """Return an error in Claude's shape."""
    body = json.dumps({"type": "error", "error": {"type": kind, "message": "scripted"}}).encode()
    return answer(body, f"{status} Error", content_type="application/json", **headers)


GOOD = answer(sse())
Step = bytes | Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawUpstream:
    """Answers the next request with the next of the steps, a good answer when there is none; None cuts."""

    steps: list[Step | None] = field(default_factory=list)
    requests: list[tuple[bytes, bytes]] = field(default_factory=list)
    connections: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")
                )
                self.requests.append((head, await reader.readexactly(length)))
                step = self.steps.pop(0) if self.steps else GOOD
                if step is None:
                    return
                if isinstance(step, bytes):
                    writer.write(step)
                    if b"HTTP/1.0" in step[:9] or b"x-cut" in step:
                        return
                else:
                    await step(reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


class Noting(Watcher):
    """Records the calls of a relay."""

    def __init__(self) -> None:
        self.delays: list[tuple[str, float, int]] = []
        self.waits_seen: list[Any] = []

    def retries(self, code: str, delay: float, attempt: int) -> None:
        self.delays.append((code, delay, attempt))

    def waits(self, waiting: Any) -> None:
        self.waits_seen.append(waiting)


@dataclass
class Relayed:
    """A relay with one run, a client on its socket, and the upstream behind it."""

    client: httpx.AsyncClient
    run: RelayedRun
    line: Line
    upstream: RawUpstream
    seen: Noting
    socket: Path

    async def post(self, body: Any = None, path: str = "/v1/messages?beta=true", **headers: str) -> httpx.Response:
        data = body if isinstance(body, bytes) else json.dumps({**BODY, **(body or {})}).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        got = await self.client.post(path, content=data, headers={"content-type": "application/json", **named})
        # The run counts an answer after its last byte has left.
        await until_async(lambda: not self.run.ledger._open)
        return got


@asynccontextmanager
async def relayed(
    folder: Path,
    *steps: Step | None,
    environ: dict[str, str] | None = None,
    first_byte: float = 5,
    clock: float = 30,
    models: Sequence[str] | None = None,
    tls: ssl.SSLContext | None = None,
    **policy: Any,
) -> AsyncIterator[Relayed]:
    """Run a relay in front of an upstream that takes these steps."""
    upstream = RawUpstream(list(steps))
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=tls)
    upstream.port = server.sockets[0].getsockname()[1]
    url = f"https://localhost:{upstream.port}/prefix" if tls else f"http://127.0.0.1:{upstream.port}"
    variables = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "the real key", **(environ or {})}
    relay = Relay(Credential.of(variables), variables, first_byte)
    line = relay.line()
    await line.open(folder / "relay")
    seen = Noting()
    limits = Policy(Allowed(models, variables), asyncio.get_running_loop().time() + clock, **policy)
    run = RelayedRun(limits, seen)
    line.begin(run)
    transport = httpx.AsyncHTTPTransport(uds=str(folder / "relay"))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://relay", timeout=60) as client:
            yield Relayed(client, run, line, upstream, seen, folder / "relay")
    finally:
        await line.close()
        await relay.close()
        server.close()
        if upstream.tasks:
            await asyncio.wait(upstream.tasks, timeout=5)
