"""A worker in its own process, without an API."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import redis

from shared.store import keys
from tests.support.gateway import ROOT
from tests.support.measured import COVERAGE

GRACE = 1
# Seconds that a worker may take to end after SIGTERM.
MAY_TAKE = GRACE + 10


class Worker:
    """`python -m MODULE` within a `with` block, with its log in `log`; `variables` are its environment.

    `prefix` is a command that starts it.
    """

    def __init__(self, folder: Path, url: str, *module: str, prefix: Sequence[str] = (), **variables: str) -> None:
        self._argv = [*prefix, sys.executable, "-m", *(module or ("functions.worker",))]
        self._folder = folder
        (folder / "tmp").mkdir(exist_ok=True)
        self._environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(ROOT),
            "REDIS_URL": url, "SHUTDOWN_GRACE": str(GRACE), "CLAUDE_WARM": "false", "QUEUE_CONCURRENCY": "2",
            "ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "LOG_FORMAT": "text",
            **COVERAGE, **variables,
        }  # fmt: skip

    def __enter__(self) -> Self:
        with (self._folder / "log").open("a") as log:
            self.process = psutil.Popen(
                self._argv, cwd=self._folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    @property
    def log(self) -> str:
        """The log so far."""
        return (self._folder / "log").read_text()

    def wait_for_line(self, text: str, times: int = 1) -> None:
        """Wait until its log has a text some number of times."""
        self._until(lambda: self.log.count(text) >= times)

    def wait_for_slots(self, client: redis.Redis, count: int, known: int = 0) -> None:
        """Wait until a number of slots waits for a job, and so many are known, with those of lost workers."""
        self._until(
            lambda: (
                client.zcard(keys.SLOTS) >= max(count, known)
                and [client.hget(name, "state") for name in client.smembers("rq:workers")].count("idle") >= count
            )
        )

    def _until(self, holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not holds():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def stop(self, *numbers: signal.Signals) -> float:
        """Send signals, wait until it and its descendants have ended, and return the seconds that took."""
        below = [process for process in self.process.children(recursive=True) if process.is_running()]
        started = time.monotonic()
        for number in numbers or (signal.SIGTERM,):
            self.process.send_signal(number)
            time.sleep(0.05)
        self.status = self.process.wait(MAY_TAKE + 15)
        took = time.monotonic() - started
        _, left = psutil.wait_procs(below, timeout=max(0.5, MAY_TAKE - took))
        alive = [process for process in left if _runs(process)]
        assert not alive, f"outlived their worker: {alive}\n{self.log}"
        return took

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.process.is_running():
            for process in [*self.process.children(recursive=True), self.process]:
                process.kill()
            self.process.wait(10)
        if error is not None:
            sys.stderr.write(self.log[-6000:])


def _runs(process: psutil.Process) -> bool:
    """Return whether a process runs: one that has ended stays in the process table until it is reaped."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
