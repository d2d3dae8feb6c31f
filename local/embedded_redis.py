"""The embedded Redis: Valkey on a Unix socket with a data directory, for a machine without a Redis server."""

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from local.server_program import EmbeddedRedisError, find_server
from local.supervisor import Child

__all__ = ["EmbeddedRedis", "EmbeddedRedisError", "address_in", "find_server"]

_START_TIMEOUT = 30.0
# The path of a Unix socket has at most 103 bytes on macOS, 107 on Linux.
_LONGEST_SOCKET_PATH = 103
_PREFIX, _SOCKET = "cg-", "redis.sock"


def _socket_directory() -> Path:
    """Create a directory for the socket with a short name, accessible to this user only."""
    # Not in the data directory or a deeply nested temporary directory: the path could be too long.
    length = len(os.fsencode(tempfile.gettempdir())) + len(f"/{_PREFIX}12345678/{_SOCKET}")
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=None if length <= _LONGEST_SOCKET_PATH else "/tmp"))  # noqa: S108


def address_in(data: Path) -> str | None:
    """Return the URL of the server that is running on a data directory, or None."""
    with suppress(OSError):
        found = Path((data / "lock").read_text()) / _SOCKET
        if found.parent.name.startswith(_PREFIX) and found.is_socket():
            return f"unix://{quote(str(found))}"
    return None


class EmbeddedRedis:
    """A server that the supervisor starts as a child. As a context manager it locks the data directory.

    Data are persistent: writes go to the append-only file and are on disk within a second, or two in the worst case.
    Raises EmbeddedRedisError if another process has locked the directory or the directory is not usable.
    """

    def __init__(self, data: Path) -> None:
        self._server = find_server()
        self._data = data.resolve()
        self._sockets: Path | None = None
        self._log_size_before = 0

    def __enter__(self) -> Self:
        try:
            self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = (self._data / "lock").open("a+")
        except OSError as error:
            raise EmbeddedRedisError(f"{self._data} cannot be used for Redis's data: {error.strerror}") from None
        try:
            # Two servers would corrupt the append-only file. The kernel releases the lock when this process ends.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                self._log_size_before = self._log.stat().st_size
            self._sockets = self._new_sockets()
        except BlockingIOError:
            self._lock.close()
            raise EmbeddedRedisError(
                f"Another gateway uses {self._data}: stop it, or choose another directory with --data"
            ) from None
        except OSError as error:
            self._lock.close()
            raise EmbeddedRedisError(f"Redis cannot be started: {error}") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
        self._lock.close()

    def _new_sockets(self) -> Path:
        # The lock file has the path of the previous server's socket, which a killed server leaves behind.
        self._lock.seek(0)
        left = Path(self._lock.read())
        if left.name.startswith(_PREFIX):
            with suppress(OSError):
                (left / _SOCKET).unlink(missing_ok=True)
                left.rmdir()
        made = _socket_directory()
        self._lock.truncate(0)
        self._lock.write(str(made))
        self._lock.flush()
        return made

    @property
    def url(self) -> str:
        """The value for REDIS_URL."""
        return f"unix://{quote(str(self._socket))}"

    @property
    def _socket(self) -> Path:
        assert self._sockets is not None, "use it with `with`"  # noqa: S101
        return self._sockets / _SOCKET

    @property
    def _log(self) -> Path:
        return self._data / "redis.log"

    @property
    def child(self) -> Child:
        """The server process, for the supervisor."""
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._data),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "logfile": str(self._log),
            "daemonize": "no",
        }
        argv = [self._server, *(part for key, value in options.items() for part in (f"--{key}", value))]
        return Child("redis", argv, explain=self._last_log_line, trusted=False)

    def wait(self, timeout: float = _START_TIMEOUT) -> None:
        """Wait until the server responds, which takes longer when it has a lot of data to load.

        Raises EmbeddedRedisError with the last line of the server's log if it does not respond within `timeout` s.
        """
        deadline = time.monotonic() + timeout
        # Disable redis-py's retries, which start with a pause of a second: this loop polls faster and ends on time.
        with redis.Redis.from_url(self.url, retry=Retry(NoBackoff(), 0), socket_timeout=1) as client:
            while True:
                with suppress(redis.RedisError):
                    client.ping()
                    return
                if time.monotonic() > deadline:
                    raise EmbeddedRedisError(f"Redis does not start: {self._last_log_line()}")
                time.sleep(0.02)  # there is no event for the creation of a socket

    def _last_log_line(self) -> str:
        """Return the last log line of this server, and not of an earlier server."""
        with suppress(OSError, IndexError), self._log.open("rb") as log:
            log.seek(self._log_size_before)
            return log.read().decode(errors="replace").strip().splitlines()[-1]
        return "its log is empty"
