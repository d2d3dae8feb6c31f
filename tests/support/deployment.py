"""A gateway as it is deployed: Redis, an API and a worker, each of which can be killed by itself."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import psutil

from local.embedded_redis import find_server
from tests.support.client import GatewayClient
from tests.support.measured import COVERAGE
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer

_COMMAND = str(Path(sys.executable).parent / "claude-gateway")


class Deployment(GatewayClient):
    """Separate processes on loopback within a `with` block; the worker runs only after `start_worker`."""

    def __init__(self, folder: Path, model_url: str, **variables: str) -> None:
        self.folder = folder
        self.log = []
        for part in ("redis", "home"):
            (folder / part).mkdir()
        # Short: the fork server's socket is in it, and without that server each slot imports everything by itself.
        self._temporary = tempfile.mkdtemp(prefix="cg-")
        (folder / "tmp").symlink_to(self._temporary)
        self.redis = RedisServer(find_server(), folder / "redis")
        port = free_port()
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder / "home"), "TMPDIR": self._temporary, "PORT": str(port),
            "REDIS_URL": self.redis.url, "ANTHROPIC_BASE_URL": model_url, "ANTHROPIC_API_KEY": "k",
            "SHUTDOWN_GRACE": "2", "LOG_FORMAT": "text", **COVERAGE, **variables,
        }  # fmt: skip
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30)
        self.worker: psutil.Popen | None = None
        self._workers: list[psutil.Popen] = []

    def _start(self, command: list[str]) -> psutil.Popen:
        with (self.folder / "log").open("a") as log:
            return psutil.Popen(
                command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def __enter__(self) -> Self:
        self.redis.__enter__()
        self.api = self._start([_COMMAND, "api"])
        self.until(self._answers, bool, timeout=60)
        return self

    def _answers(self) -> bool:
        with suppress(httpx.HTTPError):
            return self.client.get("/health/live").status_code == 200
        return False

    def submit_in_an_outage(self, query: str, timeout: float = 120) -> tuple[str, list[str]]:
        """Submit a query until it is accepted; return its job's id and the titles of the refusals."""
        refused, deadline = [], time.monotonic() + timeout
        while (answer := self.client.post("/api/query", json={"query": query})).status_code == 503:
            assert time.monotonic() < deadline, answer.text
            assert answer.json()["code"] == "unavailable"
            refused.append(answer.json()["title"])
            time.sleep(0.1)
        assert answer.status_code == 202, answer.text
        return answer.json()["jobId"], refused

    def start_worker(self) -> None:
        """Start a worker, beside what an earlier one has left."""
        self.worker = self._start([_COMMAND, "worker"])
        self._workers.append(self.worker)

    def wait_for_slots(self, count: int) -> None:
        """Wait until a number of slots is alive."""
        self.until(lambda: self.client.get("/health").json()["slots"], lambda slots: (slots or 0) >= count, timeout=60)

    def slots(self) -> list[psutil.Process]:
        """List the processes of the worker's slots."""
        assert self.worker is not None
        with suppress(psutil.NoSuchProcess):
            return [child for child in self.worker.children(recursive=True) if child.name() == "cg-slot"]
        return []

    def below_worker(self) -> list[psutil.Process]:
        """List every process below the worker."""
        assert self.worker is not None
        return self.worker.children(recursive=True)

    def kill_worker(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill the worker and wait for its end; the kernel signals its slots."""
        assert self.worker is not None
        # A CLI without its slot and pool ends with its request, or with its container.
        below = [process for process in self.below_worker() if _name(process).startswith("cg-")]
        self.worker.send_signal(number)
        self.worker.wait(30)
        _, alive = psutil.wait_procs(below, timeout=30)
        assert not alive, f"outlived their worker: {alive}"

    def kill_all_of_the_worker(self) -> None:
        """Kill the worker and all its descendants at once, as the kernel ends a container."""
        assert self.worker is not None
        self.worker.suspend()  # so that it starts nothing in between
        below = self.below_worker()
        for process in [*below, self.worker]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.worker.wait(30)
        psutil.wait_procs(below, timeout=30)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        # Processes that a failed test has left.
        for worker in self._workers:
            if worker.is_running():
                self.worker = worker
                self.kill_worker(signal.SIGTERM)
        self.api.terminate()
        self.api.wait(20)
        self.client.close()
        self.redis.__exit__(None, None, None)
        shutil.rmtree(self._temporary, ignore_errors=True)
        if error is not None:
            sys.stderr.write("".join((self.folder / "log").read_text().splitlines(keepends=True)[-60:]))


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""
