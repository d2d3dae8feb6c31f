"""A store of the gateway's own, for a machine that has none: Valkey on a socket, with its data in a directory."""

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
# The path of a socket ends at 103 bytes on macOS, at 107 on Linux.
_LONGEST_SOCKET_PATH = 103
_PREFIX, _SOCKET = "cg-", "redis.sock"


def _socket_directory() -> Path:
    """Make a directory for the socket that only this user can enter, with a short name."""
    # Not in the data directory, nor in a temporary one that is far down: the path would not fit.
    length = len(os.fsencode(tempfile.gettempdir())) + len(f"/{_PREFIX}12345678/{_SOCKET}")
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=None if length <= _LONGEST_SOCKET_PATH else "/tmp"))  # noqa: S108


def address_in(data: Path) -> str | None:
    """Return the URL of the server that runs on a data directory now, or None."""
    with suppress(OSError):
        found = Path((data / "lock").read_text()) / _SOCKET
        if found.parent.name.startswith(_PREFIX) and found.is_socket():
            return f"unix://{quote(str(found))}"
    return None


class EmbeddedRedis:
    """A server to be started as a child of the supervisor; holds the data directory while `with` lasts.

    Its data survive: writes go to the append-only file, and are on disk within a second, two at worst.
    Raises EmbeddedRedisError when another process holds the directory or it cannot be used.
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
            raise EmbeddedRedisError(f"{self._data} cannot hold Redis's data: {error.strerror}") from None
        try:
            # Two servers on one append-only file would ruin it. The lock goes with this process, however it ends.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                self._log_size_before = self._log.stat().st_size
            self._sockets = self._new_sockets()
        except BlockingIOError:
            self._lock.close()
            raise EmbeddedRedisError(f"Another gateway uses {self._data}: stop it, or give --data") from None
        except OSError as error:
            self._lock.close()
            raise EmbeddedRedisError(f"Redis cannot be started: {error}") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
        self._lock.close()

    def _new_sockets(self) -> Path:
        # The lock's file says where the last one had its socket: one that was killed has left it there.
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
        """What to give as REDIS_URL."""
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
            "logfile": str(self._log),
            "daemonize": "no",
        }
        argv = [self._server, *(part for key, value in options.items() for part in (f"--{key}", value))]
        return Child("redis", argv, explain=self._last_log_line, trusted=False)

    def wait(self, timeout: float = _START_TIMEOUT) -> None:
        """Wait until it answers, which takes longer when there is much to read back.

        Raises EmbeddedRedisError when it does not within `timeout` s, with the last line of its log.
        """
        deadline = time.monotonic() + timeout
        # Without redis-py's own retries, which begin with a second: this loop is quicker, and ends on time.
        with redis.Redis.from_url(self.url, retry=Retry(NoBackoff(), 0), socket_timeout=1) as client:
            while True:
                with suppress(redis.RedisError):
                    client.ping()
                    return
                if time.monotonic() > deadline:
                    raise EmbeddedRedisError(f"Redis does not start: {self._last_log_line()}")
                time.sleep(0.02)  # a socket that is not there yet tells nobody when it comes

    def _last_log_line(self) -> str:
        """Return the last line that this server wrote; what an earlier one wrote explains nothing."""
        with suppress(OSError, IndexError), self._log.open("rb") as log:
            log.seek(self._log_size_before)
            return log.read().decode(errors="replace").strip().splitlines()[-1]
        return "it has not written a log"
