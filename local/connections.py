"""The connection limit of an API process, and the sweep that closes connections past their deadline."""

import asyncio
import resource
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from uvicorn.server import ServerState

from shared.configuration.settings import ApiSettings, SettingsError, load

# Descriptors reserved for Redis, the event loop, the listening socket, and surplus connections until they are refused.
_RESERVED = 128
# The default limit. A higher one must be set explicitly, since each connection may use some hundred kilobytes.
_DEFAULT = 10_000
_SWEEP_SECONDS = 1.0


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files to the hard limit, which child processes inherit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        # macOS reports no limit and allows no more than OPEN_MAX.
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 10_240), hard))


def most_connections() -> int:
    """Return MAX_CONNECTIONS or its default. Raises SettingsError if the limit of open files is too low."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = 1_000_000 if soft == resource.RLIM_INFINITY else max(1, soft - _RESERVED)
    wanted: int | None = load(ApiSettings).max_connections
    if wanted is None:
        return min(room, _DEFAULT)
    if wanted > room:
        raise SettingsError(
            f"MAX_CONNECTIONS: should be {room} or less, since this process may open {soft} files (it is {wanted}); "
            "raise the limit with ulimit -n"
        )
    return wanted


class Sweeper:
    """Calls `check` on each connection of one server every second, while there are any."""

    _all: ClassVar["WeakKeyDictionary[ServerState, Sweeper]"] = WeakKeyDictionary()

    @classmethod
    def of(cls, state: ServerState, loop: asyncio.AbstractEventLoop) -> "Sweeper":
        """Return the sweeper of a server."""
        found = cls._all.get(state)
        if found is None:
            found = cls._all[state] = cls(state.connections, loop)
        return found

    def __init__(self, connections: set[Any], loop: asyncio.AbstractEventLoop) -> None:
        self._connections, self._loop = connections, loop
        self._timer: asyncio.TimerHandle | None = None
        # Connections above the limit, oldest first.
        self.surplus: dict[Any, None] = {}

    def start(self) -> None:
        """Sweep until the last connection is closed."""
        if self._timer is None:
            self._timer = self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        now = self._loop.time()
        for connection in list(self._connections):
            connection.check(now)
        self._timer = None
        if self._connections:
            self.start()
