"""A whole gateway as its user starts it, and a client of it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import psutil

from tests.support.client import GatewayClient
from tests.support.measured import COVERAGE

ROOT = Path(__file__).parents[2]
# The start imports everything in several processes at once, on a machine that may be busy.
START_TIMEOUT = 60.0


class Gateway(GatewayClient):
    """`claude-gateway local` in its own process; runs within a `with` block.

    `variables` are its environment, with PATH and HOME; it inherits nothing else.
    """

    def __init__(self, folder: Path, *options: str, **variables: str) -> None:
        self._folder = folder
        self._options = options
        self._variables = variables
        self.log: list[str] = []
        self.data = folder / "data"
        # Short: then the path of a relay's socket fits into an address, by which `running` finds its CLI.
        self.runs = Path(tempfile.mkdtemp(prefix="cg-"))

    def __enter__(self) -> Self:
        home = self._folder / "home"
        home.mkdir(exist_ok=True)
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(self.runs), "PORT": "0", **COVERAGE}
        command = Path(sys.executable).parent / "claude-gateway"
        self.process = subprocess.Popen(
            [str(command), "local", "--data", str(self.data), *self._options],
            # Not in the checkout, because a developer's .env must not affect tests.
            cwd=self._folder,
            env={**environment, **self._variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        watchdog = threading.Timer(START_TIMEOUT, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        if not line.startswith("ready "):
            self.stop()
            raise AssertionError("the gateway did not start:\n" + "".join(self.log))
        self.url = line.split()[1]
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=30)
        return self

    def run_directories(self) -> list[Path]:
        """List the directories of runs, including those of warm CLIs."""
        return list(self.runs.glob("claude-worker-*/claude-run-*"))

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            self.log.extend(stream)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if hasattr(self, "client"):
            self.client.close()
        self.stop()
        shutil.rmtree(self.runs, ignore_errors=True)

    def stop(self) -> int:
        """Stop it as Ctrl-C does, and return its exit status; after 20 s kill it and raise TimeoutExpired."""
        below: list[psutil.Process] = []
        if self.process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                below = self.processes()
            self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            # A surviving process would hold its standard error open and block the reader.
            for process in below:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            raise
        finally:
            assert self.process.stdout is not None
            self.process.stdout.close()
            self._listener.join(10)
        return status

    def processes(self) -> list[psutil.Process]:
        """List its descendants."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def clis(self) -> list[psutil.Process]:
        """List the CLIs, including warm ones."""
        found = []
        for process in self.processes():
            try:
                if "stream-json" in process.cmdline():
                    found.append(process)
            except psutil.NoSuchProcess:
                pass
        return found

    def running(self) -> list[psutil.Process]:
        """List the CLIs that ask the model, through the sockets of their relays."""
        connected = _connected_sockets()
        found = []
        for cli in self.clis():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if str(Path(cli.cwd()).parent / "relay") in connected:
                    found.append(cli)
        return found


def _connected_sockets() -> set[str]:
    """Return the paths of the Unix sockets that have a connection now."""
    rows = (line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:])
    return {row[7] for row in rows if len(row) > 7 and row[5] == "03"}
