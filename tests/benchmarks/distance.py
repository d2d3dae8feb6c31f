"""Measures the time to an answer with Claude 40 ms away behind TLS: through the gateway, and by the bare CLI.

The relay keeps its connections open when a run ends; a bare CLI makes a new one each time. The round trip is added to
encrypted bytes in both directions, and once more for the handshake of TCP.
"""

import asyncio
import json
import ssl
import statistics
import subprocess
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import trustme

from tests.benchmarks.figures import Figure
from tests.benchmarks.latency import PAUSE, asker, in_turn
from tests.support.gateway import Gateway
from tests.support.real_cli import REAL_CLI, isolated_environment
from tests.support.scripted_model import ScriptedModel

ROUND_TRIP, RUNS = 0.040, 8


class FarModel:
    """Puts TLS and a distance before a model on loopback, from `with` to the end of it."""

    def __init__(self, model: str, folder: Path) -> None:
        authority = trustme.CA()
        self.authority = folder / "authority.pem"
        authority.cert_pem.write_to_path(self.authority)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(self._context)
        self._model = int(model.rpartition(":")[2])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.connections = 0

    def __enter__(self) -> "FarModel":
        self._thread.start()
        self.port: int = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _start(self) -> int:
        near = await asyncio.start_server(self._forward(self._model, 0), "127.0.0.1", 0, ssl=self._context)
        near_port = near.sockets[0].getsockname()[1]
        far = await asyncio.start_server(self._forward(near_port, ROUND_TRIP / 2), "127.0.0.1", 0)
        self._servers = near, far
        port: int = far.sockets[0].getsockname()[1]
        return port

    def _forward(self, port: int, delay: float) -> Any:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += bool(delay)
            await asyncio.sleep(2 * delay)  # the handshake of TCP
            there, back = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(self._copy(reader, back, delay), self._copy(there, writer, delay))

        return serve

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
        try:
            while data := await reader.read(65536):
                self._loop.call_later(delay, writer.write, data)
        except ConnectionError:
            pass
        self._loop.call_later(delay + 0.01, writer.close)


def measure() -> list[Figure]:
    """Ask in turn."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        model = stack.enter_context(ScriptedModel())
        far = stack.enter_context(FarModel(model.url, folder))
        variables = {"ANTHROPIC_BASE_URL": f"https://localhost:{far.port}", "NODE_EXTRA_CA_CERTS": str(far.authority)}
        gateway = asker(stack.enter_context(Gateway(folder, **variables, ANTHROPIC_API_KEY="k", QUEUE_CONCURRENCY="1")))
        home = folder / "bare"
        home.mkdir()

        def bare() -> None:
            command = [str(REAL_CLI), "-p", "--output-format", "json", "--tools", "", "--setting-sources", ""]
            environment = isolated_environment(home, "") | variables
            done = subprocess.run(command, input=b"hello", env=environment, cwd=home, capture_output=True, check=False)
            assert json.loads(done.stdout)["result"] == "ok", done.stdout

        gateway()
        took = in_turn({"bare": bare, "gateway": gateway}, RUNS, PAUSE)
        before = far.connections
        in_turn({"gateway": gateway}, 3, PAUSE)
        new = far.connections - before
    bare_ms, ours = statistics.median(took["bare"]), statistics.median(took["gateway"])
    detail = f"{ours:.0f} ms, {bare_ms:.0f} ms; {new} new connections in 3 further jobs"
    return [Figure("POST to answer, TLS model 40 ms away", "bare `claude -p`", ours / bare_ms, detail=detail)]
