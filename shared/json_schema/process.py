"""A process that checks JSON Schemas of clients, with limits of its own: what it costs is up to the client.

It is a fresh interpreter and not a fork, since an API process has threads. It needs no queue and no semaphore of the
system, which Lambda does not have: one line of JSON asks, one line answers. It ends with its parent, whose end of the
pipe is closed then.
"""

import json
import os
import resource
import select
import signal
import subprocess
import sys
import time

from shared.json_schema.schema import Problem, problem_in

# For one schema, s.
WITHIN = 2.0
# Of the whole process, bytes.
MEMORY = 512 * 1024 * 1024
# An interpreter that takes longer to start on a busy machine does not count as a slow schema; s.
_START_WITHIN = 20.0
_READY = b"ready\n"
_SERVE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from shared.json_schema.process import serve; serve()"
)
TOO_COSTLY = Problem(f"takes more than {WITHIN:g} s or {MEMORY >> 20} MiB to check; make it simpler", may_pass=True)


class Checker:
    """One such process. It checks one schema at a time, and is of no use after one that it had to be ended for."""

    def __init__(self) -> None:
        # The environment has secrets, and an interpreter needs none of it but this.
        kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _SERVE, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a traceback would show the client's schema
            env=kept,
            bufsize=0,
        )
        if self._line(_START_WITHIN) != _READY:
            self.close()
            raise OSError("the process that checks schemas did not start")

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can check another schema."""
        return self._process.poll() is None

    def check(self, text: str) -> Problem | None:
        """Return what is wrong with a schema, given as JSON in ASCII on one line; blocks for `WITHIN` s at most."""
        assert self._process.stdin is not None  # noqa: S101 -- it is a pipe
        deadline = time.monotonic() + WITHIN
        try:
            self._process.stdin.write(text.encode("ascii") + b"\n")
        except OSError:
            self.close()
            return TOO_COSTLY
        line = self._line(deadline - time.monotonic())
        if not line.endswith(b"\n"):
            self.close()
            return TOO_COSTLY
        found = json.loads(line)
        return None if found is None else Problem(*found)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _line(self, seconds: float) -> bytes:
        """Read a line; what there is of it when the time is up, or the process has ended."""
        assert self._process.stdout is not None  # noqa: S101 -- it is a pipe
        deadline, line = time.monotonic() + seconds, b""
        poller = select.poll()
        poller.register(self._process.stdout, select.POLLIN)
        while not line.endswith(b"\n"):
            if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return line
            part = self._process.stdout.read(65_536)
            if not part:
                return line
            line += part
        return line


def serve() -> None:
    """Check schemas until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    _say(_READY)
    for text in sys.stdin:
        # The parent ends this process in time; should it have ended itself, this does.
        spent = resource.getrusage(resource.RUSAGE_SELF)
        seconds = int(spent.ru_utime + spent.ru_stime + WITHIN) + 2
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
        try:
            found = problem_in(text)
        except MemoryError:
            found = TOO_COSTLY
        _say(json.dumps(found).encode() + b"\n")


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
