"""A process that checks JSON Schemas of clients, with its own limits on time and memory.

It is a new interpreter and not a fork, because an API process has threads. It uses no queue and no semaphore, which
Lambda does not support: a request is one line of JSON, and so is the response. It ends when its parent closes the pipe.
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

# Time limit of one schema, s.
WITHIN = 2.0
# Memory limit of the process, bytes.
MEMORY = 512 * 1024 * 1024
# The start of the interpreter has its own limit, so that a busy machine does not look like a slow schema; s.
_START_WITHIN = 20.0
_READY = b"ready\n"
_SERVE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from shared.json_schema.process import serve; serve()"
)
TOO_COSTLY = Problem(f"takes more than {WITHIN:g} s or {MEMORY >> 20} MiB to check; simplify it", may_pass=True)


class Checker:
    """One process, which checks one schema at a time. A schema that exceeds the limits ends the process."""

    def __init__(self) -> None:
        # The environment contains secrets, and an interpreter needs only this variable.
        kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _SERVE, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a traceback would contain the client's schema
            env=kept,
            bufsize=0,
        )
        if self._line(_START_WITHIN) != _READY:
            self.close()
            raise OSError("the process that checks schemas did not start")

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process can check another schema."""
        return self._process.poll() is None

    def check(self, text: str) -> Problem | None:
        """Return the problem of a schema, or None. `text` is one line of ASCII JSON; blocks for at most `WITHIN` s."""
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
        """Stop the process."""
        self._process.kill()
        self._process.communicate()

    def _line(self, seconds: float) -> bytes:
        """Read a line, or the part of it that arrives before the timeout or the end of the process."""
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    _write(_READY)
    for text in sys.stdin:
        # The parent enforces the time limit. If it has died, this limit does.
        spent = resource.getrusage(resource.RUSAGE_SELF)
        seconds = int(spent.ru_utime + spent.ru_stime + WITHIN) + 2
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
        try:
            found = problem_in(text)
        except MemoryError:
            found = TOO_COSTLY
        _write(json.dumps(found).encode() + b"\n")


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
