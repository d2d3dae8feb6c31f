"""Measures what the relay adds: to the first byte of an answer, and in CPU beside the CLI's own.

The relay runs in a process of its own, on the loop that a slot has, in front of a model in another thread.
"""

import asyncio
import json
import multiprocessing
import os
import socket
import statistics
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

import uvloop

from functions.worker.relay.credential import Credential
from functions.worker.relay.models import Allowed
from functions.worker.relay.policy import Policy
from functions.worker.relay.relay import Relay
from functions.worker.relay.run import RelayedRun
from local.messages_api import Answer, TextBlock, Usage, answer_events, encode_event
from shared.host import processes
from tests.benchmarks import cpu
from tests.benchmarks.figures import Figure
from tests.support.real_cli import REAL_CLI, isolated_environment

CHUNKS, APART, ROUNDS, REQUESTS = 500, 0.004, 9, 300
BODY = json.dumps(
    {"model": "claude-opus-5-5", "stream": True, "messages": [{"role": "user", "content": "x" * 6000}]}
).encode()
HEAD = b"POST /v1/messages HTTP/1.1\r\nhost: relay\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


class Model:
    """A Messages API in a thread: an answer of so many chunks, at once or apart."""

    def __init__(self) -> None:
        self.chunks, self.apart = 1, 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port: int = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    async def _start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            at = head.lower().index(b"content-length:") + 15
            await reader.readexactly(int(head[at:].split(b"\r\n")[0]))
            events = answer_events(Answer("claude-opus-5-5", [TextBlock(["some words "] * self.chunks)], Usage(10, 5)))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            for event in events:
                data = encode_event(event)
                writer.write(b"%x\r\n%s\r\n" % (len(data), data))
                if self.apart and event["type"] == "content_block_delta":
                    await asyncio.sleep(self.apart)
            writer.write(b"0\r\n\r\n")
        writer.close()

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


def _relay(path: str, port: int, ready: Connection) -> None:
    """Be a relay until killed."""

    async def run() -> None:
        environ = {"ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}", "ANTHROPIC_API_KEY": "k"}
        line = Relay(Credential.of(environ), environ, 60).line()
        await line.open(Path(path))
        line.begin(RelayedRun(Policy(Allowed(None, environ), asyncio.get_running_loop().time() + 3600)))
        ready.send(None)
        await asyncio.Event().wait()

    # The clients here are not below the relay, as the processes of a run are, but below its parent.
    is_below = processes.is_below
    with patch.object(processes, "is_below", lambda pid, _: is_below(pid, os.getppid())):
        uvloop.run(run())


def _first_byte(connection: socket.socket) -> float:
    """Send a request and read its answer; return the seconds to its first event."""
    started = time.perf_counter()
    connection.sendall(HEAD % len(BODY) + BODY)
    data = _received(connection)
    while b"data:" not in data:
        data += _received(connection)
    took = time.perf_counter() - started
    while not data.endswith(b"\r\n0\r\n\r\n"):
        data += _received(connection)
    return took


def _first_byte_on_new_connection(family: socket.AddressFamily, address: str | tuple[str, int]) -> float:
    """Do so on a new connection, whose peer the relay checks; the seconds include connecting."""
    started = time.perf_counter()
    with socket.socket(family) as connection:
        connection.connect(address)
        connected = time.perf_counter() - started
        return connected + _first_byte(connection)


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    assert data, "the connection was closed within an answer"
    return data


async def _cli(environ: dict[str, str], home: str) -> float:
    """Run the real CLI on one answer; return the CPU seconds that it took after its start."""
    process = await asyncio.create_subprocess_exec(
        str(REAL_CLI), "-p", "--output-format", "stream-json", "--include-partial-messages", "--verbose", "--tools", "",
        "--setting-sources", "", env=environ, cwd=home, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None  # noqa: PT018
    process.stdin.write(b"say something")
    process.stdin.close()
    before, last = 0.0, 0.0
    while line := await process.stdout.readline():
        last = cpu.seconds(process.pid)
        if b'"content_block_start"' in line:
            before = last
        if b'"message_stop"' in line:
            break
    process.kill()
    await process.wait()
    return last - before


def measure() -> list[Figure]:
    """Measure both."""
    model = Model()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        path = f"{name}/relay"
        ours, theirs = context.Pipe()
        relay = context.Process(target=_relay, args=(path, model.port, theirs), daemon=True)
        relay.start()
        ours.recv()
        assert relay.pid is not None
        try:
            with (
                socket.socket(socket.AF_UNIX) as through,
                socket.create_connection(("127.0.0.1", model.port)) as direct,
            ):
                through.connect(path)
                pairs = [(_first_byte(through), _first_byte(direct)) for _ in range(REQUESTS)]
            added = statistics.median(one - other for one, other in pairs) * 1000
            new = [
                _first_byte_on_new_connection(socket.AF_UNIX, path)
                - _first_byte_on_new_connection(socket.AF_INET, ("127.0.0.1", model.port))
                for _ in range(REQUESTS)
            ]
            model.chunks, model.apart = CHUNKS, APART
            shares, details = [], []
            for _ in range(ROUNDS):
                environ = {
                    **isolated_environment(Path(name), "http://relay"),
                    "ANTHROPIC_UNIX_SOCKET": path,
                    "ANTHROPIC_API_KEY": "placeholder",
                }
                before = cpu.seconds(relay.pid)
                own = asyncio.run(_cli(environ, name))
                spent = cpu.seconds(relay.pid) - before
                shares.append(spent / own)
                details.append((spent * 1000, own * 1000))
        finally:
            relay.kill()
            relay.join()
            model.close()
    return [
        Figure("latency that the relay adds to the first byte, median", "the model directly", added, "≤", 1, "ms"),
        Figure("  on a new connection, whose process is checked", "the model directly",
               statistics.median(new) * 1000, "≤", 1, "ms"),
        Figure("CPU of the relay, 500 chunks 4 ms apart", "CPU of the CLI", statistics.median(shares), "≤", 0.07,
               detail="{:.1f} of {:.0f} ms".format(*map(statistics.median, zip(*details, strict=True)))),
    ]  # fmt: skip
