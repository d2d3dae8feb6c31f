"""The network of one run: which hosts its tools may reach, how much they may send and receive, and what they did."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from shared.egress import hosts, targets

if TYPE_CHECKING:
    from functions.worker.relay.git import GitAccess

PORT = 443
# Connections of one run at the same time, and in all: each is a line in the log.
MAX_OPEN, MAX_CONNECTIONS = 64, 10_000

Outcome = Literal["closed", "refused", "failed", "idle", "exhausted", "ended"]


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """The hosts that the tools of a run may reach, by name; `networks` are allowed although they are not public."""

    hosts: tuple[str, ...]
    networks: tuple[targets.Network, ...] = ()
    max_bytes: int = 1 << 30
    # The repository that git may reach; None for none.
    git: "GitAccess | None" = None


@dataclass(slots=True)
class Connection:
    """A connection that a run has asked for; `host` is empty when the request names none. Bytes are those of the run.

    `outcome`: `closed` by one of both ends, `refused` by the policy, `failed` on the way, `idle` for too long,
    `exhausted` when the run has used its bytes, `ended` with the run. `reason` says why, in words without an address.
    """

    host: str = ""
    port: int = 0
    outcome: Outcome = "ended"
    reason: str = ""
    sent: int = 0
    received: int = 0
    milliseconds: int = 0
    started: float = field(default_factory=time.monotonic, repr=False)
    # The run has been answered that the connection is made.
    is_open: bool = field(default=False, repr=False)


class EgressError(Exception):
    """A connection is not made or does not last; `status` answers CONNECT, and the text says why and what to do."""

    def __init__(self, status: int, outcome: Outcome, reason: str, advice: str = "") -> None:
        super().__init__(reason)
        self.status, self.outcome, self.reason = status, outcome, reason
        self.message = f"{reason}. {advice}".strip() if advice else reason


class Egress:
    """The connections of one run; `on_end` receives each when it has ended."""

    def __init__(self, policy: EgressPolicy, on_end: Callable[[Connection], None]) -> None:
        self.policy = policy
        # Of the run alone: names that never resolve must not delay those of the next run.
        self.owner = secrets.token_hex(8)
        self._on_end = on_end
        # The first request of git that failed.
        self.git_failure: EgressError | None = None
        self._made = 0
        self._bytes = 0

    @property
    def is_used_up(self) -> bool:
        """Whether the run may make no further connection."""
        return self._made >= MAX_CONNECTIONS

    def begin(self) -> Connection:
        """Count a connection."""
        self._made += 1
        return Connection()

    def end(self, connection: Connection) -> None:
        """Report a connection that has ended."""
        connection.milliseconds = int((time.monotonic() - connection.started) * 1000)
        self._on_end(connection)

    def check(self, target: str, connection: Connection) -> targets.Target:
        """Return the target of a CONNECT request, `HOST:PORT`; raise EgressError for one that is not allowed.

        Note the target in the connection, if it is well-formed.
        """
        written, _, port = target.rpartition(":")
        try:
            host = hosts.parse(written)
        except ValueError as error:
            # What the request named instead may be anything, so neither answer nor log repeats it.
            raise EgressError(403, "refused", f"The host {error}", _ADVICE) from None
        if not port.isdecimal() or not port.isascii() or len(port) > 5 or host.startswith("*"):
            raise EgressError(400, "refused", "Malformed target", "Send CONNECT HOST:443")
        found = targets.Target(host, int(port))
        connection.host, connection.port = found.host, found.port
        if not hosts.covers(self.policy.hosts, host):
            raise EgressError(403, "refused", f"{host} is not among the hosts of this job", _ADVICE)
        if found.port != PORT:
            raise EgressError(403, "refused", f"Port {found.port} is not allowed", "Only HTTPS on port 443 is")
        self.check_bytes()
        return found

    def spend(self, size: int) -> None:
        """Count bytes, sent or received; raise EgressError when the run has used all that it may."""
        self._bytes += size
        self.check_bytes()

    def check_bytes(self) -> None:
        """Raise EgressError when the run has used all bytes that it may."""
        if self._bytes > self.policy.max_bytes:
            raise EgressError(403, "exhausted", f"The run has used MAX_RUN_NETWORK_BYTES = {self.policy.max_bytes}")


_ADVICE = "Hosts are allowed by RUN_ALLOWED_HOSTS and by network.allowedHosts of the submission"
