"""Translates a failure of Redis: into the response to the client, into readiness, and into a message for the log.

`classify` is the only place that decides this. Nothing that Redis wrote is passed on: its text can quote a key.
"""

import logging
import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    DataError,
    InvalidResponse,
    MaxConnectionsError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.logs import event

log = logging.getLogger("store")

# The same failure is logged again after this many seconds.
_LOG_EVERY = 60.0


@dataclass(frozen=True, slots=True)
class Failure:
    """One kind of failure: `title` and `detail` are for clients, `advice` is for the operator.

    `reason` is what `/health` says. Which one process of a worker meets, all do, unless it is of `one_command`.
    """

    code: str
    reason: str
    title: str
    advice: str
    more: str = "Try again later"
    retry_after: int = 10
    one_command: bool = False

    @property
    def detail(self) -> str:
        """A sentence for clients that see the detail alone."""
        return f"{self.title}; {self.more[0].lower()}{self.more[1:]}"


def _away(code: str, advice: str) -> Failure:
    return Failure(code, "redis", "The store does not answer", advice, more="Try again", retry_after=1)


def _switching(code: str, reason: str, title: str, advice: str) -> Failure:
    return Failure(code, reason, title, advice, more="Try again", retry_after=1)


_ANSWERED = {
    found.code: found
    for found in (
        Failure(
            "OOM", "redis_out_of_memory", "The store is out of memory",
            "raise maxmemory, or purge finished jobs; leave maxmemory-policy at noeviction",
        ),
        Failure(
            "MISCONF", "redis_disk", "The store cannot write to disk",
            "free space on the disk of the Redis server, then read its log and INFO persistence",
        ),
        Failure(
            "NOPERM", "redis_permission", "The store refuses this command",
            "give the Redis user the rights of docs/operations.md (ACL SETUSER); ACL LOG names what was refused",
            more="The operator has to check the ACL of the gateway's store user", one_command=True,
        ),
        Failure(
            "WRONGPASS", "redis_login", "The store refuses the gateway's login",
            "correct the user and the password in REDIS_URL or REDIS_PASSWORD, and restart",
            more="The operator has to check its user and password",
        ),
        Failure(
            "NOAUTH", "redis_login", "The store refuses the gateway's login",
            "set the password in REDIS_URL or REDIS_PASSWORD, and restart",
            more="The operator has to check its user and password",
        ),
        _switching(
            "READONLY", "redis_read_only", "The store takes no writes",
            "the address leads to a replica: end the failover, or let the address lead to the primary",
        ),
        _switching("LOADING", "redis_loading", "The store is starting", "wait until Redis has loaded its data"),
        _switching(
            "MASTERDOWN", "redis_failover", "The store is switching to another server",
            "the address leads to a replica without a primary: see the state of the failover",
        ),
        _switching(
            "CLUSTERDOWN", "redis_failover", "The store is switching to another server",
            "see the state of the failover (CLUSTER INFO)",
        ),
        _switching(
            "TRYAGAIN", "redis_failover", "The store is switching to another server", "see the state of the failover"
        ),
        _switching(
            "UNBLOCKED", "redis_failover", "The store is switching to another server", "see the state of the failover"
        ),
        _switching(
            "NOREPLICAS", "redis_replicas", "The store has too few replicas",
            "connect the replicas that min-replicas-to-write asks for, or lower it",
        ),
        _switching(
            "NOSCRIPT", "redis_failover", "The store is switching to another server",
            "the server has lost its scripts, as after a restart; they are sent again",
        ),
        _switching("BUSY", "redis_busy", "The store is busy", "a script runs for long: see SLOWLOG, and SCRIPT KILL"),
        _switching(
            "UNKILLABLE", "redis_busy", "The store is busy", "a script that has written runs for long: see SLOWLOG"
        ),
        Failure(
            "DENIED", "redis_login", "The store refuses the gateway's login",
            "Redis runs in protected mode: set a password, or bind it to the address that the gateway uses",
            more="The operator has to check its user and password",
        ),
        Failure(
            "MOVED", "redis_cluster", "The store cannot be used", "cluster mode is not supported: use one primary"
        ),
        Failure(
            "ASK", "redis_cluster", "The store cannot be used", "cluster mode is not supported: use one primary"
        ),
        Failure(
            "CROSSSLOT", "redis_cluster", "The store cannot be used", "cluster mode is not supported: use one primary"
        ),
        Failure(
            "UNSUPPORTED", "redis_unsupported", "The store cannot be used",
            "Redis does not know a command: use Redis 6.2, Valkey 7.2 or later, with no command renamed",
        ),
        Failure(
            "MAXCLIENTS", "redis_clients", "The store has no free connection",
            "raise maxclients of the Redis server, or connect fewer processes", more="Try again", retry_after=1,
        ),
    )
}  # fmt: skip
_REFUSED = _away("REFUSED", "start Redis there, or correct REDIS_URL or REDIS_HOST and REDIS_PORT")
_NO_FILE = _away("NO_FILE", "the socket or certificate of REDIS_URL does not exist: start Redis, or correct the path")
_NO_ACCESS = _away("NO_ACCESS", "this user may not use the socket or certificate of REDIS_URL: see its permissions")
_NAME = _away("NAME", "the host name does not resolve: correct REDIS_URL or REDIS_HOST, or see the DNS")
_TIMEOUT = _away("TIMEOUT", "see whether Redis is overloaded or stopped, or a firewall drops the packets")
_BROKEN = _away("BROKEN", "the connection broke: see whether Redis was restarted, and its log")
_TLS = _away("TLS", "TLS failed: use rediss:// for a server with TLS alone, and see its certificate")
_PROTOCOL = _away("PROTOCOL", "what listens there is not Redis: correct REDIS_URL or REDIS_HOST and REDIS_PORT")
_DATABASE = Failure(
    "DATABASE", "redis_login", "The store cannot be used", "Redis has no database of that number: correct REDIS_URL"
)
_POOL = Failure(
    "POOL", "redis_busy", "The store has no free connection", "this process has too many requests at once: add another",
    more="Try again", retry_after=1,
)  # fmt: skip

# Redis writes its code first; a transaction, a script before Redis 7 and redis-py's pipelines put text before it.
_CODE = re.compile(r"(?:^-?|caused error: |discarded because of: |: -)([A-Z]{2,})(?= |$)")
_UNKNOWN_COMMAND = re.compile(r"unknown (?:redis )?(?:sub)?command", re.IGNORECASE)
_NOT_ALLOWED = re.compile(r"can't run this command|ACL failure in script|has no permissions to", re.IGNORECASE)


def code_in(text: str) -> str:
    """Return the code of an error that Redis wrote, one of the table if there is any in it."""
    codes: list[str] = _CODE.findall(text)
    for code in codes:
        if code in _ANSWERED:
            return code
    if "max number of clients reached" in text:
        return "MAXCLIENTS"
    if _NOT_ALLOWED.search(text):
        return "NOPERM"
    if _UNKNOWN_COMMAND.search(text):
        return "UNSUPPORTED"
    if "SCRIPT KILL" in text:  # An operator ended a script that had not written yet.
        return "BUSY"
    return codes[0] if codes else "ERR"


def classify(error: BaseException) -> Failure | None:
    """Say what failed; None when Redis did what it was asked, and the request was our mistake."""
    if isinstance(error, RedisError):
        known = _ANSWERED.get(getattr(error, "status_code", None) or "") or _ANSWERED.get(code_in(str(error)))
        if known is not None:
            return known
        if isinstance(error, (AuthenticationError, AuthorizationError, AuthenticationWrongNumberOfArgsError)):
            return _ANSWERED["WRONGPASS"]
        if isinstance(error, InvalidResponse):
            return _PROTOCOL
        if isinstance(error, ResponseError) or not isinstance(error, (RedisConnectionError, RedisTimeoutError)):
            return None
        if isinstance(error, MaxConnectionsError) or str(error) == "No connection available.":
            return _POOL
        if str(error) == "Invalid Database":
            return _DATABASE
    elif not isinstance(error, OSError):
        return None
    return _not_reached(error)


def is_refusal(error: BaseException) -> bool:
    """Return whether Redis refuses this command itself, and would refuse it again in any state."""
    return isinstance(error, DataError) or (isinstance(error, ResponseError) and classify(error) is None)


def _not_reached(error: BaseException) -> Failure:
    for cause in _causes(error):
        match cause:
            case socket.gaierror():
                return _NAME
            case ConnectionRefusedError():
                return _REFUSED
            case FileNotFoundError():
                return _NO_FILE
            case PermissionError():
                return _NO_ACCESS
            case ssl.SSLError():
                return _TLS
            case InvalidResponse():
                return _PROTOCOL
            case TimeoutError() | RedisTimeoutError():
                return _TIMEOUT
            case _:
                pass
    return _BROKEN


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(8):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def address(url: str) -> str:
    """Return where a Redis URL leads, without user, password and query."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "localhost", parts.port or 6379
    except ValueError:
        return "unknown"
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    # A password with an unescaped slash moves into the path.
    path = parts.path if re.fullmatch(r"/?\d*", parts.path) else ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}{path}"


# Per address and code: when it is logged again, and how often it was not logged since.
_logged: dict[tuple[str, str], tuple[float, int]] = {}


def report(url: str, error: BaseException, *, beside_pool: bool = False) -> Failure | None:
    """Classify a failure, and log it once and then once a minute; see `classify`.

    A process `beside_pool` logs only what the pool of its worker need not meet as well.
    """
    failure = classify(error)
    if failure is None:
        event(log, "redis_request_wrong", logging.ERROR, error=type(error).__name__, code=code_in(str(error)))
        return None
    if beside_pool and not failure.one_command:
        return failure
    where = address(url)
    due, unlogged = _logged.get((where, failure.code), (0.0, 0))
    if time.monotonic() < due:
        _logged[where, failure.code] = due, unlogged + 1
        return failure
    _logged[where, failure.code] = time.monotonic() + _LOG_EVERY, 0
    event(
        log, "redis_failed", logging.ERROR, redis=where, code=failure.code, problem=failure.title,
        advice=failure.advice, **({"times_since_last_line": unlogged} if unlogged else {}),
    )  # fmt: skip
    return failure


def connected(url: str) -> None:
    """Note that the server was reached: the next time that it is not, that is logged at once."""
    if _logged:
        for failure in (_REFUSED, _NAME):
            _logged.pop((address(url), failure.code), None)
