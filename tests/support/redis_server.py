"""A Redis for one test module, on its own port, that can be killed and restarted."""

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import redis

from tests.support.ports import free_port

_SCRIPT = Path(__file__).parents[2] / "local/valkey.sh"


class RedisServer:
    """Runs a server within a `with` block; every write is on disk before it is answered.

    `also` is another address of this machine to listen on, such as one that containers reach.
    """

    def __init__(self, program: str, folder: Path, also: str = "") -> None:
        self._program, self._folder, self._also = program, folder, also
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = {
            "port": str(self.port), "protected-mode": "no", "dir": str(self._folder), "save": "",
            "appendonly": "yes", "appendfsync": "always", "logfile": str(self._folder / "log"),
        }  # fmt: skip
        argv = [self._program, *(part for name, value in options.items() for part in (f"--{name}", value))]
        argv += ["--bind", "127.0.0.1", *([self._also] if self._also else [])]
        self._run(argv)

    def _run(self, argv: list[str], *, environment: dict[str, str] | None = None, **login: str) -> None:
        """Start a server and wait until it answers, to `login` if it has users."""
        self._process = subprocess.Popen(argv, env=environment)
        deadline = time.monotonic() + 20
        with redis.Redis(port=self.port, **login) as client:  # type: ignore[arg-type]
            while True:
                with suppress(redis.RedisError):
                    client.ping()
                    return
                if time.monotonic() > deadline:
                    self.kill()
                    raise AssertionError(f"Redis did not start: {argv}")
                time.sleep(0.02)

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    def kill(self) -> None:
        """Kill it, as a crash would."""
        self._process.kill()
        self._process.wait()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.kill()


class ServerWithUsers(RedisServer):
    """A server with the users of the Compose stack, started by local/valkey.sh; writes are on disk before the reply."""

    passwords: ClassVar = {"api": "api-only-for-tests", "worker": "worker-only-for-tests"}

    def url_of(self, user: str) -> str:
        """Return the URL of one of the gateway's two users."""
        return f"redis://{user}:{self.passwords[user]}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it by the script and wait until it answers."""
        environment = {
            "PATH": os.environ["PATH"], "VALKEY_SERVER": self._program,
            "VALKEY_RUN": str(self._folder), "VALKEY_DATA": str(self._folder),
            **{f"{user.upper()}_REDIS_PASSWORD": password for user, password in self.passwords.items()},
        }  # fmt: skip
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendfsync", "always"]
        argv = ["sh", str(_SCRIPT), *options, "--logfile", str(self._folder / "log")]
        self._run(argv, environment=environment, username="health", password="health")
