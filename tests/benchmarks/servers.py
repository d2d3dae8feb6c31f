"""Servers under load, each a single process."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from tests.support.ports import free_port


@contextmanager
def _serving(argv: list[str], folder: Path, variables: dict[str, str], port: int) -> Iterator[psutil.Popen]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PORT": str(port), **variables}
    with (folder / f"{port}.log").open("w") as log:
        process = psutil.Popen(argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                with suppress(httpx.HTTPError):
                    httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
                    break
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def gateway(folder: Path, redis_url: str, **variables: str) -> Iterator[tuple[int, psutil.Popen]]:
    """Serve the gateway's API; yield its port and its process."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "claude-gateway"), "api"]
    settings = {"REDIS_URL": redis_url, "MAX_QUEUE_DEPTH": "10000000", "CALLER_MAX_BYTES": str(1 << 40), **variables}
    with _serving(command, folder, settings, port) as process:
        yield port, process


@contextmanager
def rival(name: str, folder: Path, redis_url: str) -> Iterator[int]:
    """Serve an app of `rivals` with uvicorn and an access log, as the gateway has; yield its port."""
    port = free_port()
    root = str(Path(__file__).parents[2])
    app = f"tests.benchmarks.rivals:{name}"
    command = [sys.executable, "-m", "uvicorn", "--app-dir", root, app, "--port", str(port)]
    with _serving(command, folder, {"REDIS_URL": redis_url}, port):
        yield port
